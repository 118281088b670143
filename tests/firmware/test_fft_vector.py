"""The transform of hosts gives the bytes of the portable one, which boards and emulators hold to the published numbers."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.frontend import FrontendConfig, spectrum_tables

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
_FRAMES = 4000


def _transform(compiler: str, source: str, vector: int, folder: Path) -> ctypes.CDLL:
    """`ekws_fft_real_s16` of one source as a shared library."""
    library = folder / f"{compiler}_{source}.so"
    flags = ["-std=c99", "-O3", "-fPIC", "-shared", f"-DEKWS_FFT_VECTOR={vector}"]
    includes = [f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'src'}"]
    subprocess.run([compiler, *flags, *includes, str(FIRMWARE / "src" / source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def _frames(rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint32]]:
    """Frames (n, 512) and the shifts that their samples still fit after: noise, full-scale squares, rounding ties, the lowest number."""
    shifts = np.where(rng.random(_FRAMES) < 0.5, 0, rng.integers(0, 16, _FRAMES))
    noise = rng.integers(-32768, 32768, (_FRAMES, 512))
    squares = rng.choice([-32768, 32767], (_FRAMES, 512))
    ties = 8192 * rng.integers(-4, 4, (_FRAMES, 512)) + rng.integers(0, 3, (_FRAMES, 512))
    lowest = np.full((_FRAMES, 512), -32768) * (rng.random((_FRAMES, 1)) < rng.random((_FRAMES, 512)))
    chosen = np.choose(rng.integers(0, 4, (_FRAMES, 1)), [noise, squares, ties, lowest])
    return (chosen >> shifts[:, np.newaxis]).astype(np.int16), shifts.astype(np.uint32)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_transform_of_hosts(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        assert "CI" not in os.environ, f"{compiler} is missing: `make test` installs it"
        pytest.skip(f"{compiler} is not installed")
    frames, shifts = _frames(np.random.default_rng(2))
    twiddle = spectrum_tables(FrontendConfig()).twiddle
    results: list[NDArray[np.int16]] = []
    for source, vector in (("fft.c", 0), ("fft_vector.c", 1)):
        library, bins = _transform(compiler, source, vector, tmp_path), frames.copy()
        for row, shift in zip(bins, shifts, strict=True):
            library.ekws_fft_real_s16(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(twiddle.ctypes.data), ctypes.c_uint(int(shift)))
        results.append(bins)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], frames)
