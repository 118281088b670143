"""Packs imported from pymicro-wakeword's models: the bytes of the originals, and their detections, in our own runtime."""

# soundfile says any dtype where it is told int16.
# pyright: reportArgumentType=false

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.detector import Detector
from edge_kws.frontend import Frontend
from edge_kws.pack import Pack
from edge_kws.runners.native import NativeRunner
from edge_kws_converters.compiler import read_model
from edge_kws_converters.foreign import import_microwakeword
from edge_kws_converters.passes.whole_window import whole_window, with_input_scale
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.tflite import write_tflite

pytest.importorskip("pymicro_wakeword")

from tests.parity.test_pymicro_wakeword import FOLDER, LEAD_IN, NAMES, cutoff, theirs

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.flac"


@pytest.fixture(scope="module")
def packs() -> dict[str, Pack]:
    return {name: import_microwakeword(FOLDER / f"{name}.json", "Apache-2.0") for name in NAMES}


def _noisy(features: NDArray[np.int8]) -> NDArray[np.int8]:
    """Features far from what the model knows, so that posteriors move."""
    shift = np.random.default_rng(3).integers(-60, 60, features.shape)
    return np.clip(features.astype(np.int16) + shift, -128, 127).astype(np.int8)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_streaming_original(packs: dict[str, Pack], name: str) -> None:
    """Before the last operator, where quiet and noise do not all look alike."""
    pack, original = packs[name], (FOLDER / f"{name}.tflite").read_bytes()
    graph = read_model(original, name)
    last = graph.nodes.pop()
    assert last.op == "logistic"
    graph.outputs = [last.inputs[0]]
    pcm, _ = soundfile.read(DEMO, dtype="int16")
    (features,) = Frontend(pack.frontend).process(pcm)
    rows = np.concatenate([features, _noisy(features)])
    stride = pack.inference_stride_hops
    streaming = Reference(original, graph)
    expected = np.stack([streaming.run(rows[i : i + stride]) for i in range(0, len(rows) - stride + 1, stride)])
    whole = whole_window(graph)
    with_input_scale(whole, pack.frontend.input_scale)
    found = NativeRunner(write_tflite(whole), stride).scan(rows, stride)
    full = pack.window_frames // stride - 1
    assert len(found) == len(expected) - full > 300
    steps = np.abs(found.astype(int) - expected[full:])
    assert len(np.unique(found)) > 50
    # The input's scale is ours, so a multiplier may be 1 in 2**24 off: hardly ever a step.
    assert steps.max() <= 1
    assert np.count_nonzero(steps) <= len(steps) // 100


@pytest.mark.parametrize("name", NAMES)
def test_detections_are_those_of_their_runtime(packs: dict[str, Pack], name: str, shared_data: Path) -> None:
    files = [path for word in ("alexa", "jarvis") for path in sorted((shared_data / "picovoice_wake_words" / word).glob("*.wav"))[:15]]
    assert files
    detector = Detector([packs[name]])
    found: list[tuple[bool, bool]] = []
    for path in files:
        pcm = np.concatenate([LEAD_IN, soundfile.read(path, dtype="int16")[0], LEAD_IN[:16_000]])
        detector.reset()
        found.append((bool(detector.process(pcm)), max(theirs(name, pcm)) > cutoff(name)))
    assert [mine for mine, _ in found] == [other for _, other in found]
    if name == "alexa":
        assert sum(mine for mine, _ in found[:15]) >= 12  # the check has something to find
