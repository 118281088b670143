"""Hours of real sound: shipped packs fed PCM in pieces of any size give, at every step, the bytes of whole windows.

Three ways to the same posteriors: the streaming C behind a front end that gets random pieces; the whole-window C over features made a
recording at a time; and LiteRT's reference kernels at a sample of steps drawn by a fixed seed.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.audio.file import read_pcm
from edge_kws.frontend import Frontend
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws.runners.litert import LiteRtRunner
from edge_kws.runners.native import NativeRunner
from edge_kws.runners.native_library import load
from edge_kws_converters.compiler import compile_model
from tests.conftest import data_set

_SETS = {"librispeech_train_clean_251": 251, "speech_to_intent": 619, "esc10": 320, "speech_commands": 5000}
"""Data sets and how many of their recordings: read speech, spoken orders, ten kinds of noise, single words."""

_SECONDS = 4 * 3600
_MAX_PIECE = 8000  # samples
_SAMPLE = 400
_SLAB = 100_000  # windows of whole-window C at a time


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> list[Path]:
    """Recordings of all sets, in an order that mixes them."""
    rng = np.random.default_rng(3)
    found: list[Path] = []
    for name, count in _SETS.items():
        paths = sorted(path for path in data_set(shared_data, name).rglob("*.wav") if path.parent.name != "_background_noise_")
        found += [paths[i] for i in rng.permutation(len(paths))[:count]]
    return [found[i] for i in rng.permutation(len(found))]


def _pieces(pcm: NDArray[np.int16], rng: np.random.Generator) -> list[NDArray[np.int16]]:
    """PCM cut at random: pieces of 1 to `_MAX_PIECE` samples, small ones as often as large ones."""
    sizes: list[int] = []
    while sum(sizes) < len(pcm):
        sizes.append(int(_MAX_PIECE ** rng.random()))
    return np.split(pcm, np.cumsum(sizes)[:-1])


def _whole_windows(pack: Pack) -> Callable[[NDArray[np.int8]], NDArray[np.int8]]:
    """The whole-window C of a pack, over every window of some features."""
    model = compile_model(pack.model)
    library, stride, classes = load(model), pack.inference_stride_hops, len(pack.labels)
    library.ekws_host_state_bytes.restype = ctypes.c_size_t
    state = ctypes.create_string_buffer(library.ekws_host_state_bytes())

    def run(features: NDArray[np.int8]) -> NDArray[np.int8]:
        count = (len(features) - pack.window_frames) // stride + 1
        outputs = np.empty((count, classes), np.int8)
        sizes = ctypes.c_size_t(count), ctypes.c_size_t(stride)
        library.ekws_host_run(state, ctypes.c_void_p(features.ctypes.data), *sizes, ctypes.c_void_p(outputs.ctypes.data))
        return outputs

    return run


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 90 s of work, on a machine that may be shared
@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_streams_equal_whole_windows(name: str, recordings: list[Path], measured: Callable[[str], None]) -> None:
    pack = Pack.load(name)
    stride, frames = pack.inference_stride_hops, pack.window_frames
    runner = NativeRunner(pack.model, stride)
    assert runner.streams
    stream, cut, uncut, rng = runner.stream(stride), Frontend(pack.frontend), Frontend(pack.frontend), np.random.default_rng(0)
    features: list[NDArray[np.int8]] = []
    streamed: list[NDArray[np.int8]] = []
    samples = pieces = 0
    for path in recordings:
        pcm = read_pcm(path)
        samples += len(pcm)
        features += uncut.process(pcm)
        made = [cut.process(piece)[0] for piece in _pieces(pcm, rng)]
        pieces += len(made)
        streamed += [stream.process(rows) for rows in made]
        assert np.array_equal(np.concatenate(made), features[-1]), path
    rows, found = np.concatenate(features), np.concatenate(streamed)
    assert samples >= _SECONDS * 16_000
    assert len(found) == (len(rows) - frames) // stride + 1
    whole = _whole_windows(pack)
    for first in range(0, len(found), _SLAB):
        last = min(first + _SLAB, len(found))
        expected = whole(rows[first * stride : (last - 1) * stride + frames])
        assert np.array_equal(found[first:last], expected), f"step {first + int((found[first:last] != expected).any(1).argmax())}"
    reference = LiteRtRunner(pack.model, reference=True)
    for step in np.sort(rng.choice(len(found), _SAMPLE, replace=False)):
        assert np.array_equal(found[step], reference.run(rows[step * stride : step * stride + frames])), f"step {step}"
    hours = samples / 16_000 / 3600
    measured(
        f"{name}: {hours:.2f} hours in {pieces:,} pieces, {len(found):,} steps equal to whole windows, {_SAMPLE} to LiteRT's reference"
    )
