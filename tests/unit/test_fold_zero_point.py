"""The input's zero point in the biases: the same sums, and the quicker rounding only where no sum can grow too large for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws_converters.passes.fold_zero_point import fold_zero_points
from edge_kws_converters.program import SHIFT_ANY, SHIFT_ONCE, SHIFT_RIGHT, Channels, ConvShape, Layer, Program, Ring

_TAPS, _IN, _OUT = 3, 4, 5


def _layer(kind: str, *, seed: int = 0, zero: int = -9, bias: int = 900, shift: int = 5, shifts: int = SHIFT_ANY) -> Layer:
    rng = np.random.default_rng(seed)
    size = (_TAPS, 1, _OUT) if kind == "depthwise" else (_OUT, _TAPS, 1, _IN)
    channels = Channels(
        rng.integers(-bias, bias + 1, _OUT).astype(np.int32), np.full(_OUT, 1 << 30, np.int32), np.array([shift] * _OUT, np.int8)
    )
    inner = _OUT if kind == "depthwise" else _IN
    shape = ConvShape(1, inner, 1, _OUT, _TAPS, 1, 1, 1, 0, zero, 0, -128, 127, int(kind == "depthwise"), shifts)
    weights = rng.integers(-127, 128, size).astype(np.int8)
    return Layer("layer", kind, [], Ring("out", 1, 1, _OUT), shape, weights, channels)


def _fold(layer: Layer) -> None:
    ring = Ring("in", _TAPS, 1, _IN)
    fold_zero_points(Program("test", [Layer("input", "input", [], ring), layer], ring, layer.out))


@pytest.mark.parametrize("kind", ["conv", "depthwise"])
@given(seed=st.integers(0, 999), zero=st.integers(-128, 127))
def test_sums_are_the_same(kind: str, seed: int, zero: int) -> None:
    layer = _layer(kind, seed=seed, zero=zero)
    assert layer.channels is not None
    assert layer.weights is not None
    q = np.random.default_rng(seed + 1).integers(-128, 128, (_TAPS, 1, _OUT if kind == "depthwise" else _IN))
    wide, bias = layer.weights.astype(np.int64), layer.channels.bias.astype(np.int64)
    terms = "hwc,hwc->c" if kind == "depthwise" else "hwi,ohwi->o"
    expected = np.einsum(terms, q - zero, wide) + bias
    _fold(layer)
    np.testing.assert_array_equal(np.einsum(terms, q, wide) + layer.channels.bias, expected)


@pytest.mark.parametrize(
    ("bias", "shift", "shifts", "expected"),
    [
        (900, 1, SHIFT_ANY, SHIFT_RIGHT),
        (900, 0, SHIFT_ANY, SHIFT_ANY),
        (900, -3, SHIFT_ANY, SHIFT_ANY),
        (2**30, 5, SHIFT_ANY, SHIFT_ANY),
        (900, 5, SHIFT_ONCE, SHIFT_ONCE),
    ],
)
def test_which_rounding_is_proven(bias: int, shift: int, shifts: int, expected: int) -> None:
    layer = _layer("conv", bias=0, shift=shift, shifts=shifts)
    assert layer.channels is not None
    layer.channels.bias[:] = bias
    _fold(layer)
    assert layer.shape.shifts == expected


def test_biases_wrap_as_int32_sums_do() -> None:
    layer = _layer("conv", zero=127)
    assert layer.channels is not None
    assert layer.weights is not None
    layer.weights[:] = 127
    layer.channels.bias[:] = -(2**31)
    _fold(layer)
    assert (layer.channels.bias == 2**31 - 127 * 127 * _TAPS * _IN).all()
