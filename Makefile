# edge_kws. Every target makes what it needs inside .venv; start with `make demo`.
#
#   make demo [WAV=speech.wav]   hear the shipped packs at work (light dependencies)
#   make test                    the fast tests          make test-all   and the slow ones
#   make lint type               ruff, pyright           make bench      the README's figures
#   make bench-mcu               instructions and memory on emulated microcontrollers
#   make soak                    hours of audio through the daemon
#   make bench-host              CPU and memory on this machine, beside other programs
#   make clean                   drop what was built (rm -r .venv drops the environment too)
#
# System packages come through apt: by itself as root, with sudo when YES=1, otherwise the command to run is printed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
BIN := .venv/bin
# Nothing from the caller's shell picks another environment or interpreter.
UV := env -u VIRTUAL_ENV -u UV_PYTHON UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv
# TensorFlow takes half a gigabyte a worker, so many cores do not mean many workers.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 8 ? n : 8)))
# worksteal, not loadgroup: pytest-xdist 3.8 hangs for ever when a worker of the latter crashes.
PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal
SOURCES := $(wildcard edge_kws boards/edge_kws_boards converters/edge_kws_converters quantization/edge_kws_quantization tests benchmarks examples hatch_build.py)

# A C++ compiler (the header serves both), sound devices, speech, sanitizers and fuzzer, and what mediapipe loads.
TEST_PACKAGES := g++ chromium libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins espeak-ng mosquitto mosquitto-clients systemd clang libclang-rt-dev libgl1 libegl1 libgles2
ifeq ($(shell uname -m),x86_64)
# Not the gcc-multilib metapackage: it conflicts with every cross compiler.
TEST_PACKAGES += $(shell gcc -dumpversion 2>/dev/null | sed -n 's/^\([0-9]*\).*/gcc-\1-multilib/p')
endif

# Cross compilers and emulators: firmware is tested and measured on emulated boards.
BOARD_PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-arm qemu-system-misc

PEERS := pyopen-wakeword==1.1.0 openwakeword==0.5.1 silero-vad==6.2.3

.PHONY: help demo setup test test-slow test-all lint type bench bench-mcu bench-host soak clean test-packages board-packages

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: .venv/.runtime
	@$(BIN)/edge-kws demo $(if $(WAV),"$(WAV)")

setup: .venv/.dev

test: .venv/.dev test-packages
	@echo "edge_kws: fast tests ($(JOBS) workers)"
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: .venv/.dev test-packages
	@echo "edge_kws: slow tests ($(JOBS) workers)"
	@$(PYTEST) -m slow $(ARGS)

# One after the other, whatever -j says: both want all cores.
test-all:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-slow

lint: .venv/.dev
	@echo "edge_kws: ruff"
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

type: .venv/.dev
	@echo "edge_kws: pyright (strict)"
	@$(BIN)/pyright

bench: .venv/.dev board-packages build/peers
	@shopt -s nullglob; for script in benchmarks/[a-z]*.py; do echo "edge_kws: $$script"; $(BIN)/python "$$script"; done

bench-mcu: .venv/.dev board-packages
	@$(BIN)/python benchmarks/mcu.py $(ARGS)

soak: .venv/.dev
	@$(BIN)/python benchmarks/soak.py $(ARGS)

bench-host: .venv/.dev build/peers
	@$(BIN)/python benchmarks/host.py $(ARGS)

clean:
	@rm -rf build dist .pytest_cache .ruff_cache .hypothesis edge_kws/libekws_host.*
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -r {} +
	@echo "edge_kws: clean (.venv stays)"

# ---- bootstrap ----

# $(call install,PACKAGES,WHAT TO DO WITHOUT THEM): apt packages, or the command that gets them.
define install
	missing=(); for p in $(1); do \
	  dpkg-query -W -f='$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$$p"); done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  apt="apt-get install -y -q --no-install-recommends $${missing[*]}"; \
	  if ! command -v apt-get >/dev/null; then echo "edge_kws: install what Debian calls: $${missing[*]}"; $(2); \
	  elif [ "$$(id -u)" = 0 ] || [ "$(YES)" = 1 ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    echo "edge_kws: installing $${missing[*]}"; \
	    $$sudo apt-get update -q >build/apt.log 2>&1 \
	      && $$sudo env DEBIAN_FRONTEND=noninteractive $$apt >>build/apt.log 2>&1 \
	      || { tail -n 5 build/apt.log >&2; echo "edge_kws: apt failed, see build/apt.log" >&2; $(2); }; \
	  else printf 'edge_kws: system packages are missing. Run:\n\n    sudo %s\n\n(or make YES=1)\n' "$$apt"; $(2); fi; \
	fi
endef

# A machine that cannot have them still runs the tests that do not need them; the others are skipped and say why.
test-packages: | build
	@$(call install,$(TEST_PACKAGES) $(BOARD_PACKAGES),echo "edge_kws: going on without them: tests that need them are skipped")

board-packages: | build
	@$(call install,$(BOARD_PACKAGES),exit 1)

build:
	@mkdir -p $@

# Programs that benchmarks/host.py measures beside us, apart from the environment: without their dependencies, because silero-vad names
# PyTorch (2 GB) and openWakeWord an old runtime, and neither is needed for their ONNX models.
build/peers: pyproject.toml | .venv/.dev build
	@echo "edge_kws: installing peers for the benchmark into build/peers"
	@$(UV) pip install -q --python $(BIN)/python --target $@ --no-deps $(PEERS)
	@touch $@

$(BIN)/uv: | build
	@echo '#include <stdint.h>' | cc -shared -x c - -o build/probe.so 2>/dev/null || { $(call install,gcc libc6-dev,exit 1); }
	@find_python() { for p in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo "$$p" && return; done; return 1; }; \
	find_python >/dev/null || { $(call install,python3 python3-venv,exit 1); }; \
	python=$$(find_python) || { echo "edge_kws: Python 3.11, 3.12 or 3.13 is needed; make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { $(call install,python3-venv,exit 1); }; \
	echo "edge_kws: making .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv; \
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

# What listening needs. --inexact leaves the developer's packages where they are.
.venv/.runtime: pyproject.toml uv.lock hatch_build.py | $(BIN)/uv
	@echo "edge_kws: installing the runtime into .venv and building the C library"
	@$(UV) sync --quiet --frozen --inexact --no-default-groups
	@touch $@

.venv/.dev: pyproject.toml uv.lock hatch_build.py | $(BIN)/uv
	@echo "edge_kws: installing the tools and training dependencies into .venv (about 2 GB on the first run)"
	@$(UV) sync --quiet --frozen --inexact
	@touch .venv/.runtime $@
