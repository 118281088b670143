"""The C sources under strict warnings, on both word sizes, from C and C++, and under a fuzzer with sanitizers."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_kws_boards.contents import board_header
from edge_kws_boards.description import find_description

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "firmware" / "src").glob("*.c"))
APP = sorted((ROOT / "firmware" / "app").glob("*.c"))
INCLUDE = f"-I{ROOT / 'firmware' / 'include'}"
STRICT = ["-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
HARNESS = Path(__file__).with_name("fuzz_ekws.c")


def _compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        assert "CI" not in os.environ, f"{name} is missing: `make test` installs it"
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize("bits", ["-m64", "-m32"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_strict_c99(tmp_path: Path, name: str, bits: str) -> None:
    compiler = _compiler(name)
    probe = subprocess.run([compiler, bits, "-xc", "-fsyntax-only", "-include", "stdint.h", "/dev/null"], capture_output=True, check=False)
    if probe.returncode != 0:
        assert "CI" not in os.environ or platform.machine() != "x86_64", f"{name} {bits}: headers are missing: `make test` installs them"
        pytest.skip(f"{name} {bits}: no headers for it here")
    (tmp_path / "ekws_board.h").write_text(board_header(find_description("qemu-m4")))
    command = [compiler, bits, *STRICT, INCLUDE, f"-I{tmp_path}", "-c", *map(str, [*SOURCES, *APP])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.o"))) == len(SOURCES) + len(APP)


def test_the_header_serves_cpp(tmp_path: Path) -> None:
    unit = tmp_path / "unit.cpp"
    unit.write_text(
        '#include "ekws.h"\nint main() { ekws_spectrum_t s; return ekws_spectrum_init(&s, nullptr) == EKWS_ERROR_CONFIG ? 0 : 1; }\n'
    )
    done = subprocess.run(
        [_compiler("g++"), "-Wall", "-Wextra", "-Werror", INCLUDE, "-fsyntax-only", str(unit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_symbol_has_the_prefix(tmp_path: Path) -> None:
    subprocess.run([_compiler("gcc"), "-std=c99", INCLUDE, "-c", *map(str, SOURCES)], check=True, cwd=tmp_path)
    names = subprocess.run(
        ["nm", "-g", "--defined-only", *map(str, tmp_path.glob("*.o"))], capture_output=True, text=True, check=True
    ).stdout
    symbols = [line.split()[-1] for line in names.splitlines() if len(line.split()) == 3]
    assert symbols
    assert [symbol for symbol in symbols if not symbol.startswith("ekws_")] == []


@pytest.mark.slow
def test_fuzzing_finds_nothing(tmp_path: Path) -> None:
    """LibFuzzer with ASan and UBSan: hostile configurations and tables, several banks, any PCM, any chunking, resets, any posteriors."""
    binary = tmp_path / "fuzz"
    flags = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-std=c99", INCLUDE]
    built = subprocess.run(
        [_compiler("clang"), *flags, str(HARNESS), *map(str, SOURCES), "-o", str(binary)], capture_output=True, text=True, check=False
    )
    if built.returncode != 0 and "CI" not in os.environ and "fuzzer" in built.stderr:
        pytest.skip("clang has no fuzzer runtime here (libclang-rt-dev)")
    assert built.returncode == 0, built.stderr
    run = [str(binary), "-runs=10000", "-seed=1", "-max_len=4096", "-len_control=0", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
