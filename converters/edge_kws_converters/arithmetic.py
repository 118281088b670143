"""TFLite's fixed-point arithmetic, exactly, as the model compiler needs it: multipliers, tables of functions, means.

Source: tensorflow/lite/kernels/internal/quantization_util.cc, common.h and gemmlowp's fixedpoint.h, whose numbers define the result;
LOGISTIC and TANH are tables of single-precision results there, found by test against LiteRT 2.3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_INT32_MAX, _INT32_MIN = 2**31 - 1, -(2**31)
_Integers = TypeVar("_Integers", int, NDArray[np.int64])
ADD_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A real factor as Q31 mantissa (2^30 .. 2^31 - 1, or 0) and a shift to the right (negative: to the left, first)."""

    mantissa: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """A non-negative real factor as TFLite writes it."""
    if real == 0 or not math.isfinite(real):
        return Multiplier(0, 1)
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(Fraction(fraction) * 2**31 + Fraction(1, 2))
    if mantissa == 2**31:
        mantissa, exponent = mantissa // 2, exponent + 1
    if exponent < -31:
        return Multiplier(0, 1)
    return Multiplier(mantissa, -exponent) if exponent <= 30 else Multiplier(_INT32_MAX, -30)


def _wrap(x: _Integers) -> _Integers:
    return (x + 2**31) % 2**32 - 2**31


def high_product(a: int, b: int) -> int:
    """(a * b) / 2^31, rounded to nearest, saturating."""
    return _INT32_MAX if a == b == _INT32_MIN else (a * b + (1 << 30)) >> 31


def shift_right(x: _Integers, n: int) -> _Integers:
    """X / 2^n, halves away from zero."""
    mask = (1 << n) - 1
    return (x >> n) + ((x & mask) > (mask >> 1) + (x < 0))


def scale(x: _Integers, factor: Multiplier) -> _Integers:
    """X times a factor, both roundings."""
    left = max(-factor.shift, 0)
    return shift_right((_wrap(x << left) * factor.mantissa + (1 << 30)) >> 31, max(factor.shift, 0))


def add_factors(a: np.float32, b: np.float32, result: np.float32) -> tuple[Multiplier, Multiplier, Multiplier]:
    """What ADD and SUB scale their operands by, brought to 20 more bits, and their sum."""
    twice = 2 * float(max(a, b))
    first, second = (quantize_multiplier(float(operand) / twice) for operand in (a, b))
    return first, second, quantize_multiplier(twice / ((1 << ADD_BITS) * float(result)))


def multiply_factor(a: np.float32, b: np.float32, result: np.float32) -> Multiplier:
    """What MUL scales its product by."""
    return quantize_multiplier(float(a * b / result))


def _shift_left(x: int, n: int) -> int:
    return min(max(x << n, _INT32_MIN), _INT32_MAX)


def _exp_near_zero(a: int) -> int:
    """exp(a), Q31, for a = -1/4 .. 0 in Q31."""
    x = a + (1 << 28)
    x2 = high_product(x, x)
    x3, x4 = high_product(x2, x), high_product(x2, x2)
    tail = shift_right(high_product(shift_right(x4, 2) + x3, 715827883) + x2, 1)
    return 1895147668 + high_product(1895147668, x + tail)


_EXP_POWERS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}


def exp_negative(a: int, integer_bits: int) -> int:
    """exp(a), Q31, for a <= 0 with `integer_bits` before the point."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    near = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(_shift_left(near, integer_bits))
    remainder = near - a
    for exponent, factor in _EXP_POWERS.items():
        if integer_bits > exponent and remainder & (1 << (fraction_bits + exponent)):
            result = high_product(result, factor)
    return _INT32_MAX if a == 0 else result


def softmax_table(scale_in: float, beta: float) -> NDArray[np.int32]:
    """exps[d] of d steps below the largest input, Q31; as long as TFLite counts them, trailing zeros off."""
    factor = quantize_multiplier(min(float(np.float32(beta)) * scale_in * (1 << 26), 2**31 - 1.0))
    left = max(-factor.shift, 0)
    radius = math.floor(31 * 2.0**26 / 2**left)
    exps = [exp_negative(high_product(_wrap(-d << left), factor.mantissa), 5) for d in range(min(radius, 255) + 1)]
    while len(exps) > 1 and exps[-1] == 0:
        exps.pop()
    return np.array(exps, np.int32)


def _function_table(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]], scale_in: float, zero_in: int, steps: int
) -> NDArray[Any]:
    """A function of every int8 in single precision, in steps of 1 / `steps`, halves away from zero: LiteRT's tables."""
    real = np.float32(scale_in) * (np.arange(-128, 128) - zero_in).astype(np.float32)
    scaled = function(real).astype(np.float64) * steps
    return np.copysign(np.floor(np.abs(scaled) + 0.5), scaled).astype(np.int64)


def logistic_table(scale_in: float, zero_in: int) -> NDArray[np.int8]:
    """LOGISTIC of every int8, output scale 1/256, zero point -128."""
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the quotient 0
        levels = _function_table(lambda x: np.float32(1) / (np.float32(1) + np.exp(-x)), scale_in, zero_in, 256)
    return np.minimum(levels - 128, 127).astype(np.int8)


def tanh_table(scale_in: float, zero_in: int) -> NDArray[np.int8]:
    """TANH of every int8, output scale 1/128, zero point 0."""
    return np.clip(_function_table(np.tanh, scale_in, zero_in, 128), -128, 127).astype(np.int8)


def rescale_table(factor: float, zero_in: int, zero_out: int, low: int = -128, high: int = 127) -> NDArray[np.int16]:
    """Every int8 times a real factor, to another zero point."""
    multiplier = quantize_multiplier(factor)
    return np.array([min(max(scale(q - zero_in, multiplier) + zero_out, low), high) for q in range(-128, 128)], np.int16)


def hard_swish_table(scale_in: float, zero_in: int, scale_out: float, zero_out: int) -> NDArray[np.int16]:
    """HARD_SWISH of every int8, in TFLite's 16-bit steps."""
    high_scale = np.float32(1 / 128) * np.float32(scale_in)
    output = _to_16(quantize_multiplier(float(high_scale / np.float32(scale_out))))
    relu = _to_16(quantize_multiplier(float(high_scale / np.float32(3 / 32768))))
    table: list[int] = []
    for q in range(-128, 128):
        high = (q - zero_in) << 7
        base = _product_16(high, output.mantissa)
        gate = high
        left = -relu.shift
        if left > 0:
            gate = _clip_16(gate << (left - 1))
        gate = _product_16(gate, relu.mantissa)
        if left > 0:
            gate = _clip_16(gate << 1)
        elif left < 0:
            gate = shift_right(gate, -left)
        gate = (gate + (1 << 15)) >> 1
        product = (gate * base) // 2**15 if gate * base >= 0 else -((-gate * base) // 2**15)
        table.append(min(max(shift_right(product, output.shift) + zero_out, -128), 127))
    return np.array(table, np.int16)


def _clip_16(x: int) -> int:
    return min(max(x, -(2**15)), 2**15 - 1)


def _to_16(factor: Multiplier) -> Multiplier:
    """A Q31 multiplier as Q15."""
    high = factor.mantissa >= _INT32_MAX - (1 << 15)
    return Multiplier(2**15 - 1 if high else (factor.mantissa + (1 << 15)) >> 16, factor.shift)


def _product_16(a: int, b: int) -> int:
    """(a * b) / 2^15, rounded to nearest, saturating."""
    if a == b == -(2**15):
        return 2**15 - 1
    product = a * b
    nudge = (1 << 14) if product >= 0 else 1 - (1 << 14)
    total = product + nudge
    return total // 2**15 if total >= 0 else -(-total // 2**15)
