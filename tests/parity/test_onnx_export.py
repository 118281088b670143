"""`edge-kws export --to onnx`: how far onnxruntime's posteriors are from the pack's, on real features."""

# soundfile says any dtype where it is told int16; onnxruntime carries no types.
# pyright: reportArgumentType=false, reportMissingTypeStubs=false

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.errors import ConversionError
from edge_kws.frontend import Frontend
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws.runners.native import NativeRunner
from edge_kws_converters.compiler import read_model
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.onnx import write_onnx
from tests.golden.tiny_model import tiny_model

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.flac"
STRIDE = 8


def _onnxruntime(model: bytes, rows: NDArray[np.int8], frames: int, count: int) -> NDArray[np.int8]:
    session: Any = import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    windows = [rows[i * STRIDE : i * STRIDE + frames].reshape(source.shape) for i in range(count)]
    return np.stack([session.run(None, {source.name: window})[0].reshape(-1) for window in windows])


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_posteriors_of_onnxruntime(name: str, tmp_path: Path) -> None:
    assert main(["export", name, "--to", "onnx", "--out", str(tmp_path)]) == 0
    pack = Pack.load(name)
    pcm, _ = soundfile.read(DEMO, dtype="int16")
    (rows,) = Frontend(pack.frontend).process(pcm)
    expected = NativeRunner(pack.model, STRIDE).scan(rows, STRIDE)
    found = _onnxruntime((tmp_path / f"{name}.onnx").read_bytes(), rows, pack.window_frames, len(expected))
    steps = np.abs(found.astype(int) - expected)
    # Both round each layer to the same int8 grid, halves in different directions: a step here and there, more where softmax is steep.
    assert np.median(steps.max(axis=1)) <= 2
    assert np.quantile(steps.max(axis=1), 0.95) <= 16
    assert steps.max() <= 32
    sure = expected.max(axis=1) > 64  # a posterior of 0.75 or more
    assert sure.sum() > 50
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[sure].all()


@pytest.mark.parametrize(("nodes", "most", "differing"), [(1, 1, 0.01), (-1, 12, 0.8)])
def test_layers_of_onnxruntime(nodes: int, most: int, differing: float) -> None:
    """One layer differs in rounding only; what that becomes in front of the softmax has no bias."""
    pack = Pack.load("marvin")
    graph = read_model(pack.model, "marvin")
    graph.nodes = graph.nodes[:nodes]
    graph.outputs = [graph.nodes[-1].outputs[0]]
    pcm, _ = soundfile.read(DEMO, dtype="int16")
    (rows,) = Frontend(pack.frontend).process(pcm)
    found = _onnxruntime(write_onnx(graph), rows, pack.window_frames, 60)
    reference = Reference(pack.model, graph)
    expected = np.stack([reference.run(rows[i * STRIDE : i * STRIDE + pack.window_frames]) for i in range(len(found))])
    steps = found.astype(int) - expected
    assert len(np.unique(expected)) > 50
    assert np.abs(steps).max() <= most
    assert np.mean(steps != 0) < differing
    assert abs(np.mean(steps)) < 0.5


def test_operator_without_a_row_is_refused() -> None:
    graph = read_model(tiny_model())
    graph.nodes[-1].op = "hard_swish"
    with pytest.raises(ConversionError, match="HARD_SWISH"):
        write_onnx(graph)
