"""Means of a stream that keep their sums give the bytes of whole windows, from the first output on and after a reset."""

from pathlib import Path

import numpy as np
import pytest

from edge_kws.runners.native import NativeRunner
from edge_kws_converters.compiler import make_program, read_model
from edge_kws_converters.golden import feature_rows, golden_rows
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.program import Program, Sliding
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming
from tests.golden.compiled import check_stream, run_self_test
from tests.golden.operator_models import OperatorModel, options

_BINS = 6


def _model(frames: int, step: int = 1, *, pool: bool = False) -> bytes:
    """A convolution over two rows with a stride in time, and a mean over all that it makes; `pool`: over three bins at a time, padded."""
    rng = np.random.default_rng(5)
    rows = (frames - 2) // step + 1
    net = OperatorModel()
    source, hidden = net.tensor((1, frames, _BINS, 1), 0.05, -128), net.tensor((1, rows, _BINS, 4), 0.06, 11)
    weights = net.tensor((4, 2, 1, 1), [0.01] * 4, 0, rng.integers(-127, 128, (4, 2, 1, 1)).astype(np.int8))
    bias = net.tensor((4,), [0.0005] * 4, 0, rng.integers(-500, 500, 4).astype(np.int32))
    net.operator("CONV_2D", [source, weights, bias], [hidden], options("Conv2D", padding=1, strideH=step, strideW=1))
    if pool:
        result = net.tensor((1, 1, 3, 4), 0.06, 11)
        window = {"padding": 0, "strideH": rows, "strideW": 2, "filterHeight": rows, "filterWidth": 3}
        net.operator("AVERAGE_POOL_2D", [hidden], [result], options("Pool2D", **window))
    else:
        result = net.tensor((1, 4), 0.02, 3)
        net.operator("MEAN", [hidden, net.ints([1, 2])], [result], options("Reducer", keepDims=False))
    return net.finish(source, result)


def _sliding(program: Program) -> Sliding | None:
    return next(layer.sliding for layer in program.layers if layer.kind == "average_pool")


@pytest.mark.parametrize(
    ("step", "stride", "expected"),
    [
        (1, 1, Sliding(1, 1)),
        (1, 3, Sliding(3, 1)),
        (2, 2, Sliding(1, 1)),
        (2, 1, Sliding(1, 2)),
        (3, 2, Sliding(2, 3)),
        (2, 6, Sliding(3, 1)),
    ],
)
@pytest.mark.parametrize("pool", [False, True])
def test_bytes_of_whole_windows(step: int, stride: int, expected: Sliding, pool: bool, tmp_path: Path) -> None:
    frames = 30 * step + 1
    program = check_stream(_model(frames, step, pool=pool), tmp_path, stride, feature_rows(frames + 20 * stride, _BINS))
    assert _sliding(program) == expected


@pytest.mark.parametrize(("rows", "stride", "used"), [(7, 1, False), (8, 1, True), (15, 2, False), (16, 2, True), (16, 40, False)])
def test_only_where_it_is_cheaper(rows: int, stride: int, used: bool) -> None:
    assert (_sliding(make_program(_model(rows + 1), stride=stride)) is not None) == used


def test_whole_windows_sum_as_rows_come() -> None:
    assert _sliding(make_program(_model(31))) is None


def test_sums_start_anew_after_a_reset() -> None:
    runner = NativeRunner(_model(31, 2), stride=1)
    first, second = feature_rows(70, _BINS, seed=1), feature_rows(64, _BINS, seed=2)
    expected = [np.stack([runner.run(rows[at : at + 31]) for at in range(len(rows) - 30)]) for rows in (first, second)]
    assert np.array_equal(runner.scan(first, 1), expected[0])
    assert np.array_equal(runner.scan(second, 1), expected[1])


@pytest.mark.parametrize(("rows", "expected"), [(32, Sliding(2, 1)), (12, None)])
def test_models_with_state_of_their_own(rows: int, expected: Sliding | None, tmp_path: Path) -> None:
    streaming = write_tflite_streaming(_model(rows + 1), 2)
    graph = read_model(streaming)
    program = lower(graph)
    assert _sliding(program) == expected
    run_self_test(program, golden_rows(program, Reference(streaming, graph)), tmp_path)
