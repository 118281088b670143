"""Every operator over shapes, strides, scales and zero points: generated C equals LiteRT BUILTIN_REF, byte for byte, under sanitizers."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edge_kws.errors import ConversionError
from tests.golden.compiled import check_whole
from tests.golden.operator_models import ACTIVATIONS, OperatorModel, options

_FEW = settings(max_examples=8)
_SEEDS = st.integers(0, 2**16)
_ZEROS = st.sampled_from([-128, -127, -3, 0, 77, 127])
_SCALES = st.sampled_from([0.003, 0.02, 0.11, 0.5, 1.7])
_SIZES = st.integers(1, 9)


def _check(net: OperatorModel, source: int, result: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_whole(net.finish(source, result), Path(folder), seed)


def _window(draw: Any, size: int, same: bool) -> tuple[int, int, int, int] | None:
    """Kernel, stride, dilation and output size along one axis; None where nothing is left."""
    kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    out = -(-size // stride) if same else (size - (kernel - 1) * dilation - 1) // stride + 1
    return (kernel, stride, dilation, out) if out >= 1 else None


@_FEW
@given(data=st.data(), seed=_SEEDS)
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions(depthwise: bool, data: st.DataObject, seed: int) -> None:
    draw, rng = data.draw, np.random.default_rng(seed)
    height, width, channels = draw(_SIZES), draw(_SIZES), draw(st.integers(1, 18))
    same = draw(st.booleans())
    rows, columns = _window(draw, height, same), _window(draw, width, same)
    assume(rows is not None and columns is not None)
    assert rows is not None
    assert columns is not None
    (kh, sh, dh, oh), (kw, sw, dw, ow) = rows, columns
    if depthwise and sh != sw:
        sw, ow = sh, -(-width // sh) if same else (width - (kw - 1) * dw - 1) // sh + 1
        assume(ow >= 1)
    multiplies = draw(st.integers(1, 3))
    n = channels * multiplies if depthwise else draw(st.integers(1, 9))
    shape = (1, kh, kw, n) if depthwise else (n, kh, kw, channels)
    net, scale, zero = OperatorModel(), draw(_SCALES), draw(_ZEROS)
    source = net.tensor((1, height, width, channels), scale, zero)
    per_channel = draw(st.booleans())
    out_scale = draw(_SCALES)
    # Around the gain that fills the output's range, and far below and above it.
    gain = draw(st.sampled_from([1e-7, 0.3, 1.0, 4.0, 60.0])) * out_scale / scale / (kh * kw * (1 if depthwise else channels)) ** 0.5 / 127
    scales = gain * rng.uniform(0.2, 2, n if per_channel else 1)
    weights = net.tensor(shape, scales, 0, rng.integers(-127, 128, shape).astype(np.int8), axis=3 if depthwise else 0)
    bias = net.tensor((n,), scales * scale, 0, rng.integers(-20_000, 20_000, n).astype(np.int32))
    result = net.tensor((1, oh, ow, n), out_scale, draw(_ZEROS))
    chosen = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
    fields = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw, "dilationHFactor": dh, "dilationWFactor": dw}
    if depthwise:
        net.operator(
            "DEPTHWISE_CONV_2D",
            [source, weights, bias],
            [result],
            options("DepthwiseConv2D", depthMultiplier=multiplies, fusedActivationFunction=chosen, **fields),
        )
    else:
        net.operator("CONV_2D", [source, weights, bias], [result], options("Conv2D", fusedActivationFunction=chosen, **fields))
    _check(net, source, result, seed)


@_FEW
@given(data=st.data(), seed=_SEEDS)
def test_fully_connected(data: st.DataObject, seed: int) -> None:
    draw, rng = data.draw, np.random.default_rng(seed)
    height, width, channels, n = draw(_SIZES), draw(_SIZES), draw(_SIZES), draw(st.integers(1, 9))
    net, scale = OperatorModel(), draw(_SCALES)
    source = net.tensor((1, height, width, channels), scale, draw(_ZEROS))
    inner = height * width * channels
    gain = draw(st.sampled_from([0.01, 1.0, 20.0])) / scale / inner**0.5 / 127
    scales = gain * rng.uniform(0.3, 1, n) if draw(st.booleans()) else gain
    weights = net.tensor((n, inner), scales, 0, rng.integers(-127, 128, (n, inner)).astype(np.int8))
    inputs = [source, weights]
    if draw(st.booleans()):
        inputs.append(net.tensor((n,), scales * scale, 0, rng.integers(-9_000, 9_000, n).astype(np.int32)))
    else:
        inputs.append(-1)
    if draw(st.booleans()):
        flat = net.tensor((1, inner), scale, net.tensors[source].quantization.zeroPoint[0])
        net.operator("RESHAPE", [source, net.ints([1, inner])], [flat], options("Reshape", newShape=[1, inner]))
        inputs[0] = flat
    result = net.tensor((1, n), 1.0, draw(_ZEROS))
    net.operator("FULLY_CONNECTED", inputs, [result], options("FullyConnected", fusedActivationFunction=draw(st.integers(0, 1))))
    _check(net, source, result, seed)


def test_fully_connected_multiplies_scales_in_double_precision() -> None:
    """With a factor of about 1/254 many sums lie beside a half; a product in single precision takes them across it."""
    net, scale = OperatorModel(), 0.003
    source = net.tensor((1, 1, 1, 4), scale, -127)
    matrix = np.random.default_rng(0).integers(-127, 128, (3, 4)).astype(np.int8)
    weights = net.tensor((3, 4), 1 / scale / 254, 0, matrix)
    result = net.tensor((1, 3), 1.0, -128)
    net.operator("FULLY_CONNECTED", [source, weights, -1], [result], options("FullyConnected", fusedActivationFunction=0))
    windows = np.random.default_rng(1).integers(-128, 128, (1000, 4), np.int8)
    with tempfile.TemporaryDirectory() as folder:
        check_whole(net.finish(source, result), Path(folder), windows=windows)


@_FEW
@given(data=st.data(), seed=_SEEDS)
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(name: str, data: st.DataObject, seed: int) -> None:
    draw = data.draw
    height, width, channels, same = draw(_SIZES), draw(_SIZES), draw(_SIZES), draw(st.booleans())
    kh, kw = draw(st.integers(1, height)), draw(st.integers(1, width))
    sh, sw = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    oh, ow = (-(-n // s) if same else (n - k) // s + 1 for n, k, s in ((height, kh, sh), (width, kw, sw)))
    net, scale, zero = OperatorModel(), draw(_SCALES), draw(_ZEROS)
    source, result = net.tensor((1, height, width, channels), scale, zero), net.tensor((1, oh, ow, channels), scale, zero)
    pool = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw, "filterHeight": kh, "filterWidth": kw}
    net.operator(name, [source], [result], options("Pool2D", fusedActivationFunction=draw(st.sampled_from([0, 1, 3])), **pool))
    _check(net, source, result, seed)


_PAIRS = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum", "PRELU": None}
"""Operator -> its options."""


@_FEW
@given(data=st.data(), seed=_SEEDS)
@pytest.mark.parametrize("name", _PAIRS)
def test_elementwise(name: str, data: st.DataObject, seed: int) -> None:
    draw, rng = data.draw, np.random.default_rng(seed)
    shape = [1, draw(_SIZES), draw(_SIZES), draw(_SIZES)]
    other = [1, shape[1], shape[2] if draw(st.booleans()) else 1, shape[3] if draw(st.booleans()) else 1]
    net, scale, zero = OperatorModel(), draw(_SCALES), draw(_ZEROS)
    source, one_scale = net.tensor(shape, scale, zero), _PAIRS[name] == "MaximumMinimum"
    constant = name == "PRELU" or draw(st.booleans())
    if constant:
        other[1] = 1
        # Fewer axes are the last ones.
        size = other[draw(st.integers(0, 3)) if other[2] == 1 else draw(st.integers(0, 2)) :]
        found = (scale, zero) if one_scale else (draw(_SCALES), draw(_ZEROS))
        operand = net.tensor(size, *found, rng.integers(-128, 128, size).astype(np.int8))
    else:
        # The second operand is the first, squeezed by a pool to the size that broadcasts.
        operand = net.tensor(other, scale, zero)
        assume(other[3] == shape[3])
        pool = options("Pool2D", padding=1, strideH=1, strideW=1, filterHeight=1, filterWidth=1 if other[2] == shape[2] else shape[2])
        net.operator("MAX_POOL_2D", [source], [operand], pool)
    result = net.tensor(shape, *((scale, zero) if one_scale else (draw(_SCALES), draw(_ZEROS))))
    kind = _PAIRS[name]
    fields = {"fusedActivationFunction": draw(st.integers(0, 1))} if kind and not one_scale else {}
    net.operator(name, [source, operand], [result], options(kind, **fields) if kind else None)
    _check(net, source, result, seed)


@_FEW
@given(data=st.data(), seed=_SEEDS)
def test_mean(data: st.DataObject, seed: int) -> None:
    draw = data.draw
    height, width, channels = draw(st.integers(2, 12)), draw(_SIZES), draw(_SIZES)
    axes = draw(st.sampled_from([[1], [2], [1, 2], [2, 1]]))
    keep = draw(st.booleans()) or axes == [2]
    size = [1, 1 if 1 in axes else height, 1 if 2 in axes else width, channels]
    net, scale, zero = OperatorModel(), draw(_SCALES), draw(_ZEROS)
    same = draw(st.booleans())
    source = net.tensor((1, height, width, channels), scale, zero)
    shape = size if keep else [n for i, n in enumerate(size) if i not in axes]
    result = net.tensor(shape, scale if same else scale * draw(st.sampled_from([0.2, 0.9, 1.7])), zero if same else draw(_ZEROS))
    net.operator("MEAN", [source, net.ints(axes)], [result], options("Reducer", keepDims=keep))
    if not keep and axes == [1] and width > 1:
        with pytest.raises(ConversionError):
            _check(net, source, result, seed)
    else:
        _check(net, source, result, seed)


@_FEW
@given(data=st.data(), seed=_SEEDS)
def test_softmax(data: st.DataObject, seed: int) -> None:
    draw = data.draw
    classes = draw(st.integers(2, 40))
    net = OperatorModel()
    source = net.tensor((1, classes), draw(st.sampled_from([0.002, 0.04, 0.2, 0.9])), draw(_ZEROS))
    result = net.tensor((1, classes), 1 / 256, -128)
    net.operator("SOFTMAX", [source], [result], options("Softmax", beta=draw(st.sampled_from([1.0, 0.5, 2.0]))))
    _check(net, source, result, seed)


def _all_values(name: str, scale: float, zero: int, out_scale: float, out_zero: int, chosen: Any = None) -> None:
    """A function of one value, over all 256."""
    net = OperatorModel()
    source, result = net.tensor((1, 256), scale, zero), net.tensor((1, 256), out_scale, out_zero)
    net.operator(name, [source], [result], chosen)
    model = net.finish(source, result)
    from edge_kws_converters.compiler import make_program, read_model
    from edge_kws_converters.reference import Reference

    program = make_program(model)
    values = np.arange(-128, 128).astype(np.int8)
    expected = Reference(model, read_model(model)).run(values)
    table = program.layers[-1].constants["table"]
    assert np.array_equal(table, expected)


@given(scale=st.floats(0.001, 0.6), zero=st.integers(-128, 127))
@example(scale=1 / 256, zero=0)  # close to half a step, where a fixed-point function rounds the other way
def test_logistic(scale: float, zero: int) -> None:
    _all_values("LOGISTIC", scale, zero, 1 / 256, -128)


@given(scale=st.floats(0.001, 0.6), zero=st.integers(-128, 127))
@example(scale=1 / 256, zero=0)
def test_tanh(scale: float, zero: int) -> None:
    _all_values("TANH", scale, zero, 1 / 128, 0)


@given(scale=st.floats(0.001, 0.6), zero=st.integers(-128, 127), ratio=st.floats(0.3, 3), out_zero=st.integers(-128, 127))
@pytest.mark.parametrize("name", ["HARD_SWISH", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"])
def test_rescaling_functions(name: str, scale: float, zero: int, ratio: float, out_zero: int) -> None:
    chosen = options("LeakyRelu", alpha=0.1) if name == "LEAKY_RELU" else None
    _all_values(name, scale, zero, scale * ratio, out_zero, chosen)
