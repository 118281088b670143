"""Weight layouts of the DSP kernels (Cortex-M4, M7, M33); `firmware/src/kernels/*_s8_dsp.h` describe them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel, PlainKernel
from edge_kws_converters.program import SHIFT_ONCE, Channels, ConvShape

MAX_SHIFT: Final = 23
"""Larger second shifts would overflow where the zero point is added before the shift."""


def _rounding_offset(shift: NDArray[np.int64], zero_point: int) -> NDArray[np.int64]:
    """What is added before the second shift: half of the last bit, and the zero point that comes out after it."""
    return (np.int64(1) << (shift - 1)) + (np.int64(zero_point) << shift)


def pack_conv(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) to the pairs of conv_s8_dsp.h.

    Args:
        weights: int8.
        channels: bias, multiplier and shift, each (out,).
        shape: of the layer.
    """
    count, height = weights.shape[:2]
    run = weights[0, 0].size
    depth4 = -(-run // 4) * 4
    padded = np.zeros((count + count % 2, height, depth4), np.int8)
    padded[:count, :, :run] = weights.reshape(count, height, run)
    # (pairs, depth / 4, 2, 4)
    words = padded.reshape(len(padded) // 2, 2, -1, 4).transpose(0, 2, 1, 3)
    shift = np.ones(len(padded), np.int64)
    shift[:count] = channels.shift
    bias = np.zeros(len(padded), "<i4")
    bias[:count] = 2 * channels.bias  # |acc| < 2^30 holds for the bias too
    columns = np.zeros((len(padded), 3), "<i4")
    columns[:count, 0] = channels.multiplier
    columns[:, 1], columns[:, 2] = _rounding_offset(shift, shape.out_zero), shift
    parts: list[bytes] = []
    for pair, block in enumerate(words):
        two = slice(2 * pair, 2 * pair + 2)
        parts += [bias[two].tobytes(), block.tobytes(), columns[two].tobytes()]
    return b"".join(parts)


def conv_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_conv_s8_dsp` needs: widened inputs of three pixels, one kernel row."""
    run = -(-shape.kernel_width * shape.in_channels // 4) * 4
    depth = shape.kernel_height * run
    if shape.out_width == 1 and depth > 256 and shape.pad_left == 0 and shape.dilation_width == 1:
        return 0
    return 2 * depth * min(shape.out_width, 3) + run


def runs_side_by_side(weights: NDArray[np.int8], together: int, piece: int) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 as (groups of channels, kernel_height, pieces of a run, channels, bytes)."""
    count, height = weights.shape[:2]
    run = weights[0, 0].size
    padded = np.zeros((-(-count // together) * together, height, -(-run // piece) * piece), np.int8)
    padded[:count, :, :run] = weights.reshape(count, height, run)
    return padded.reshape(-1, together, height, padded.shape[2] // piece, piece).transpose(0, 2, 3, 1, 4).tobytes()


def pack_dense(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to the pairs of dense_s8_dsp.h."""
    del channels, shape
    return runs_side_by_side(weights, 2, 4)


def pack_depthwise(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) to the fours of depthwise_s8_dsp.h.

    Args:
        weights: int8; a multiple of 4 channels.
        channels: bias, multiplier and shift, each (out,).
        shape: of the layer.
    """
    count = weights.shape[2]
    offset = _rounding_offset(channels.shift.astype(np.int64), shape.out_zero)
    taps = 2 * weights.reshape(-1, count).T.astype("<i2")
    bias = (2 * channels.bias).astype("<i4")
    if depthwise_in_pairs(shape):
        first, third = taps[:, [0, 3, 1, 4, 2, 5]], taps[:, 6:]
        columns = np.stack([bias, channels.multiplier, offset], 1).astype("<i4")
        shift = channels.shift.astype("<i2")
        return b"".join(
            first[c].tobytes() + columns[c, :1].tobytes() + third[c].tobytes() + shift[c].tobytes() + columns[c, 1:].tobytes()
            for c in range(count)
        )
    parts: list[bytes] = []
    for c in range(0, count, 4):
        four = slice(c, c + 4)
        parts.append(bias[four].tobytes() + taps[[c, c + 2, c + 1, c + 3]].T.tobytes())
        parts.append(np.stack([channels.multiplier[four], offset[four], channels.shift[four]], 1).astype("<i4").tobytes())
    return b"".join(parts)


def depthwise_in_pairs(shape: ConvShape) -> bool:
    """Whether `ekws_depthwise_s8_dsp` takes two rows of taps at once."""
    return (shape.kernel_height, shape.kernel_width, shape.stride_width, shape.dilation_width) == (3, 3, 1, 1)


def depthwise_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_depthwise_s8_dsp` needs."""
    return 24 * (shape.out_width + 2) if depthwise_in_pairs(shape) else 0


def _rounds_right(shape: ConvShape, channels: Channels) -> bool:
    return shape.shifts == 1 and int(channels.shift.max()) <= MAX_SHIFT


def _fours(shape: ConvShape, channels: Channels) -> bool:
    return shape.multiplies == 1 and shape.out_channels % 4 == 0 and _rounds_right(shape, channels)


def is_dense(shape: ConvShape, channels: Channels) -> bool:
    """Whether a layer is a FULLY_CONNECTED: it rounds once."""
    del channels
    return shape.shifts == SHIFT_ONCE


def _no_scratch(shape: ConvShape) -> int:
    del shape
    return 0


def of_one_size(shape: Mapping[str, int]) -> bool:
    """Whether both operands of an elementwise layer are as large as its output."""
    sizes = {(shape[f"{operand}width"], shape[f"{operand}channels"]) for operand in ("", "a_", "b_")}
    return len(sizes) == 1


def _small_shifts(shape: Mapping[str, int]) -> bool:
    return of_one_size(shape) and max(shape["shift"], shape["a_shift"], shape["b_shift"]) < MAX_SHIFT


KERNELS: Final = (
    Kernel("conv", "dsp", "conv_s8_dsp.h", "ekws_conv_s8_dsp", _rounds_right, pack_conv, conv_scratch_bytes, ("weights",), 3),
    Kernel("conv", "dsp", "dense_s8_dsp.h", "ekws_dense_s8_dsp", is_dense, pack_dense, _no_scratch),
    Kernel(
        "depthwise", "dsp", "depthwise_s8_dsp.h", "ekws_depthwise_s8_dsp", _fours, pack_depthwise, depthwise_scratch_bytes, ("weights",)
    ),
)
PLAIN_KERNELS: Final = (PlainKernel("ekws_add_s8", "dsp", "add_s8_dsp.h", "ekws_add_s8_dsp", _small_shifts),)
