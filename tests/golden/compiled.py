"""Generated C, compiled with sanitizers and run against LiteRT's reference kernels."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws_converters.compiler import read_model
from edge_kws_converters.golden import GoldenRows, feature_rows
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.passes.streamify import streamify
from edge_kws_converters.program import Program
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.c import write_c
from edge_kws_converters.writers.self_test import write_self_test

STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compiler() -> str:
    """The C compiler; skips the test where there is none."""
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return found


def adversarial_windows(size: int, seed: int) -> NDArray[np.int8]:
    """Windows (6, size): both extremes, alternating, full-scale noise, sparse spikes, wandering."""
    rng = np.random.default_rng(seed)
    alternating = np.where(np.arange(size) % 2, 127, -128)
    spikes = np.where(rng.random(size) < 0.1, rng.choice([-128, 127], size), rng.integers(-3, 4))
    rows = [np.full(size, -128), np.full(size, 127), alternating, rng.integers(-128, 128, size), spikes, feature_rows(size, 1, seed)[:, 0]]
    return np.stack(rows).astype(np.int8)


def expected_rows(program: Program, reference: Reference, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """What whole windows of a stream's rows (n, row bytes) give, every `program.stride` rows."""
    starts = range(0, len(rows) - program.input.rows + 1, program.stride)
    return np.stack([reference.run(rows[start : start + program.input.rows]) for start in starts])


def check_whole(model: bytes, folder: Path, seed: int = 0, windows: NDArray[np.int8] | None = None) -> Program:
    """Asserts that the generated C gives the reference's bytes on these windows (n, bytes), or on adversarial ones."""
    graph = read_model(model)
    program = lower(graph)
    if windows is None:
        windows = adversarial_windows(program.input.rows * program.input.row_bytes, seed)
    reference = Reference(model, graph)
    run_self_test(program, GoldenRows(windows, np.stack([reference.run(window) for window in windows])), folder)
    return program


def check_stream(model: bytes, folder: Path, stride: int, rows: NDArray[np.int8]) -> Program:
    """Asserts that the streaming C gives, hop by hop, the bytes of whole windows."""
    graph = read_model(model)
    program = streamify(lower(graph), stride)
    run_self_test(program, GoldenRows(rows, expected_rows(program, Reference(model, graph), rows)), folder)
    return program


def run_self_test(program: Program, golden: GoldenRows, folder: Path, flags: list[str] | None = None) -> None:
    """Compiles model.c and self_test.c strictly, with sanitizers, and runs them: with the kernels for hosts, and in plain C."""
    for core in ("host", "portable"):
        _run_self_test(program, core, golden, folder / core, SANITIZERS if flags is None else flags)


def _run_self_test(program: Program, core: str, golden: GoldenRows, folder: Path, flags: list[str]) -> None:
    generated = write_c(program, core, name="model")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.c").write_text(generated.source)
    (folder / "model.h").write_text(generated.header)
    (folder / "self_test.c").write_text(write_self_test(generated, golden))
    files = [str(folder / "model.c"), str(folder / "self_test.c"), "-o", str(folder / "self_test")]
    command = [compiler(), *STRICT, "-O0", *flags, "-DEKWS_SELF_TEST_MAIN", *files]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:4000]
    ran = subprocess.run([str(folder / "self_test")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{core}: golden vector {ran.returncode - 1} of {len(golden.outputs)} differs\n{ran.stderr[:4000]}"
