"""Whole models, bit for bit: shipped packs as streams, models nobody here wrote, models that keep their own state."""

import os
from pathlib import Path

import numpy as np
import pytest

from edge_kws.errors import ConversionError
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws_converters.compiler import make_program, read_model
from edge_kws_converters.golden import feature_rows, golden_rows
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.reference import Reference
from tests.golden.compiled import check_stream, check_whole, run_self_test
from tests.golden.operator_models import OperatorModel, options
from tests.golden.tiny_model import tiny_model

MODELS = ["kws_ref_model", "micro_speech_quantized", "str_ww_ref_model", "st_miniresnet1_esc10_int8", "st_yamnet256_esc10_int8"]


def foreign_model(root: Path, name: str) -> bytes:
    """A model of the shared folder beside the checkout; `EDGE_KWS_MODELS` names another place."""
    folder = Path(os.environ.get("EDGE_KWS_MODELS") or root.parent / "shared" / "data" / "models")
    if not (folder / f"{name}.tflite").is_file():
        pytest.skip(f"{folder / name}.tflite is not there: set EDGE_KWS_MODELS")
    return (folder / f"{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_foreign_models_are_bit_exact(name: str, root: Path, tmp_path: Path) -> None:
    check_whole(foreign_model(root, name), tmp_path)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
@pytest.mark.parametrize("phases", [False, True])
def test_shipped_packs_stream_as_whole_windows(name: str, phases: bool, tmp_path: Path) -> None:
    pack = Pack.load(name)
    # One hop between outputs runs the layers after a time stride on every phase.
    stride = 1 if phases else pack.inference_stride_hops
    rows = np.concatenate([*pack.golden.windows[:1], feature_rows(60, pack.frontend.mel_bins)])
    program = check_stream(pack.model, tmp_path, stride, rows)
    assert program.stride == stride


@pytest.mark.parametrize("name", ["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"])
def test_models_with_resource_variables(name: str, tmp_path: Path) -> None:
    package = pytest.importorskip("pymicro_wakeword")
    model = (Path(package.__file__).parent / "models" / f"{name}.tflite").read_bytes()
    graph = read_model(model)
    program = lower(graph)
    assert (program.stride, program.has_state) == (3, True)
    run_self_test(program, golden_rows(program, Reference(model, graph)), tmp_path)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 6, 40])
def test_strides_and_phases(step: int, stride: int, tmp_path: Path) -> None:
    model = tiny_model(frames=20, step=step, channel_axis=step != 2)
    check_stream(model, tmp_path, stride, feature_rows(20 + 7 * stride, 10, seed=step))


def _residual(same: bool, gate: bool) -> bytes:
    """A convolution over time with a skip connection that drops the oldest rows, averaged over what is left."""
    rng = np.random.default_rng(1)
    net = OperatorModel()
    source = net.tensor((1, 16, 1, 6), 0.05, -128, name="features")
    left = 16 if same else 14
    weights = net.tensor((1, 3, 1, 6), [0.01] * 6, 0, rng.integers(-127, 128, (1, 3, 1, 6)).astype(np.int8), axis=3)
    branch = net.tensor((1, left, 1, 6), 0.09, 4, name="branch")
    bias = net.tensor((6,), [0.0005] * 6, 0, rng.integers(-500, 500, 6).astype(np.int32))
    fields = {"padding": 0 if same else 1, "strideH": 1, "strideW": 1, "depthMultiplier": 1}
    net.operator("DEPTHWISE_CONV_2D", [source, weights, bias], [branch], options("DepthwiseConv2D", **fields))
    skip = source
    if not same:
        skip = net.tensor((1, 14, 1, 6), 0.05, -128)
        bounds = [net.ints([0, 2, 0, 0]), net.ints([0, 0, 0, 0]), net.ints([1, 1, 1, 1])]
        net.operator("STRIDED_SLICE", [source, *bounds], [skip], options("StridedSlice", beginMask=13, endMask=15))
    joined = net.tensor((1, left, 1, 6), 0.1, -10, name="joined")
    net.operator("ADD", [branch, skip], [joined], options("Add"))
    average = net.tensor((1, 1, 1, 6), 0.1, -10, name="average")
    pool = options("Pool2D", padding=1, strideH=1, strideW=1, filterHeight=left, filterWidth=1)
    net.operator("AVERAGE_POOL_2D", [joined], [average], pool)
    if gate:
        gated = net.tensor((1, left, 1, 6), 0.1, 0, name="gated")
        net.operator("MUL", [joined, average], [gated], options("Mul"))
        total = net.tensor((1, 1, 1, 6), 0.1, 0, name="total")
        net.operator("MEAN", [gated, net.ints([1, 2])], [total], options("Reducer", keepDims=True))
        average = total
    return net.finish(source, average)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_skip_connections_and_averages_stream(stride: int, tmp_path: Path) -> None:
    check_stream(_residual(same=False, gate=False), tmp_path, stride, feature_rows(16 + 6 * stride, 6))


@pytest.mark.parametrize("same", [False, True])
def test_squeeze_and_excite_runs_as_whole_window(same: bool, tmp_path: Path) -> None:
    check_whole(_residual(same, gate=True), tmp_path)


@pytest.mark.parametrize(
    ("model", "named", "reason"),
    [(_residual(same=True, gate=False), "branch", "pads time"), (_residual(same=False, gate=True), "gated", "squeeze and excite")],
)
def test_what_cannot_be_streamed_exactly_is_refused(model: bytes, named: str, reason: str) -> None:
    with pytest.raises(ConversionError, match=rf"operator \d .*\({named}\): cannot be streamed exactly, because .*{reason}"):
        make_program(model, stride=1)


def _averaged(kernel: int, stride: int, rows: int = 12) -> bytes:
    """AVERAGE_POOL_2D with SAME padding, then all that is left as one."""
    net, left = OperatorModel(), -(-rows // stride)
    source, average = net.tensor((1, rows, 1, 6), 0.05, -9, name="features"), net.tensor((1, left, 1, 6), 0.05, -9, name="average")
    fields = {"padding": 0, "strideH": stride, "strideW": 1, "filterHeight": kernel, "filterWidth": 1}
    net.operator("AVERAGE_POOL_2D", [source], [average], options("Pool2D", **fields))
    result = net.tensor((1, 6), 0.04, 0)
    net.operator("MEAN", [average, net.ints([1, 2])], [result], options("Reducer", keepDims=False))
    return net.finish(source, result)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 3), (30, 4)])
def test_averages_that_pad_time_are_whole_windows(kernel: int, stride: int, tmp_path: Path) -> None:
    model = _averaged(kernel, stride)
    check_whole(model, tmp_path)
    with pytest.raises(ConversionError, match=r"operator 0 AVERAGE_POOL_2D \(average\): cannot be streamed exactly, because it pads time"):
        make_program(model, stride=1)


def test_averages_that_have_nothing_to_pad_stream(tmp_path: Path) -> None:
    """SAME in name only: the kernel steps from row to row without a gap."""
    check_stream(_averaged(3, 3), tmp_path, 2, feature_rows(30, 6))


def test_plan_of_the_benchmark_model_fits_a_small_part(root: Path, tmp_path: Path) -> None:
    program = check_whole(foreign_model(root, "kws_ref_model"), tmp_path)
    assert program.arena_bytes <= 5000


def _conv1d() -> bytes:
    """What Keras makes of Conv1D: a series as an image of one row, and back, averaged over time."""
    rng = np.random.default_rng(3)
    net = OperatorModel()
    source = net.tensor((1, 15, 5), 0.05, -128, name="features")
    image = net.tensor((1, 1, 15, 5), 0.05, -128)
    net.operator("RESHAPE", [source, net.ints([1, 1, 15, 5])], [image], options("Reshape", newShape=[1, 1, 15, 5]))
    weights = net.tensor((7, 1, 3, 5), [0.01] * 7, 0, rng.integers(-127, 128, (7, 1, 3, 5)).astype(np.int8))
    bias = net.tensor((7,), [0.0005] * 7, 0, rng.integers(-500, 500, 7).astype(np.int32))
    hidden = net.tensor((1, 1, 7, 7), 0.08, -20)
    net.operator("CONV_2D", [image, weights, bias], [hidden], options("Conv2D", padding=1, strideH=1, strideW=2))
    series = net.tensor((1, 7, 7), 0.08, -20)
    net.operator("RESHAPE", [hidden, net.ints([1, 7, 7])], [series], options("Reshape", newShape=[1, 7, 7]))
    average = net.tensor((1, 7), 0.05, 3, name="average")
    net.operator("MEAN", [series, net.ints([1])], [average], options("Reducer", keepDims=False))
    return net.finish(source, average)


@pytest.mark.parametrize("stride", [0, 1, 2, 3])
def test_conv1d_runs_over_time(stride: int, tmp_path: Path) -> None:
    if stride:
        check_stream(_conv1d(), tmp_path, stride, feature_rows(15 + 6 * stride, 5))
    else:
        assert check_whole(_conv1d(), tmp_path).input.rows == 15
