"""The ONNX reader: QDQ models give ONNX Runtime's numbers to one step, and what cannot be read is one ConversionError that names it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import compile_model, make_program, onnx_to_tflite, read_model
from edge_kws_converters.golden import GoldenRows
from edge_kws_converters.graph import Quantization
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.reference import Reference
from tests.golden.compiled import run_self_test
from tests.golden.onnx_models import MODELS, FloatModel, run_float

_INPUTS = 40


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """(1, channels, time) as the compiled model takes it, time first; (1, time, bins) and (1, 1, time, bins) as they are."""
    return values.transpose(0, 2, 1) if values.ndim == 3 and values.shape[1] == 10 else values


def _quantization(model: bytes) -> tuple[Quantization, Quantization]:
    graph = read_model(model)
    edges = [graph.tensors[i].quantization for i in (graph.inputs[0], graph.outputs[0])]
    assert edges[0] is not None
    assert edges[1] is not None
    return edges[0], edges[1]


def _steps(model: bytes, shape: list[int], stored: Callable[[NDArray[Any]], NDArray[Any]] = _stored) -> NDArray[np.int64]:
    """Differences from ONNX Runtime in steps of the output, over random inputs; generated C and LiteRT are compared elsewhere."""
    source, result = _quantization(model)
    flatbuffer = onnx_to_tflite(model)
    reference = Reference(flatbuffer, read_model(flatbuffer))
    rng = np.random.default_rng(1)
    differences: list[NDArray[np.int64]] = []
    for index in range(_INPUTS):
        real = rng.normal(0, 0.2 + 0.05 * index, shape)
        q = np.clip(np.rint(real / float(source.scale)) + source.zero_point, -128, 127).astype(np.int8)
        expected = run_float(model, (q.astype(np.float32) - source.zero_point) * source.scale)
        steps = np.rint(expected / float(result.scale)).astype(np.int64) + result.zero_point
        differences.append(reference.run(np.ascontiguousarray(stored(q))).astype(np.int64) - steps.reshape(-1))
    return np.stack(differences)


@pytest.fixture(scope="session", params=[(name, *form) for name in MODELS for form in ((True, False), (False, True))], ids=str)
def quantised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FloatModel, bytes]:
    name, per_channel, unsigned = request.param
    model = MODELS[name]()
    return model, model.quantised(tmp_path_factory.mktemp(name), per_channel=per_channel, unsigned=unsigned)


def test_within_one_step_of_onnx_runtime(quantised: tuple[FloatModel, bytes]) -> None:
    differences = _steps(quantised[1], quantised[0].shape)
    print(f"{np.mean(differences == 0):.1%} equal, at most {np.abs(differences).max()} steps")
    assert np.abs(differences).max() <= 1
    assert np.mean(differences == 0) > 0.9


def test_generated_c_gives_the_bytes_of_the_same_graph_in_litert(quantised: tuple[FloatModel, bytes], tmp_path: Path) -> None:
    model = quantised[1]
    flatbuffer = onnx_to_tflite(model)
    reference = Reference(flatbuffer, read_model(flatbuffer))
    program = lower(read_model(model))
    windows = np.random.default_rng(3).integers(-128, 128, (8, program.input.rows * program.input.row_bytes)).astype(np.int8)
    run_self_test(program, GoldenRows(windows, np.stack([reference.run(window) for window in windows])), tmp_path)
