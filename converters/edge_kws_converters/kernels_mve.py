"""Weight layouts of the Helium kernels (Cortex-M55); `firmware/src/kernels/*_s8_mve.h` describe them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.program import Channels, ConvShape


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _columns(channels: Channels, padded: int) -> bytes:
    """bias, multiplier, minus shift for each four channels."""
    table = np.zeros((3, padded), np.int64)
    count = len(channels.bias)
    table[0, :count], table[1, :count], table[2, :count] = channels.bias, channels.multiplier, -channels.shift.astype(np.int64)
    return table.reshape(3, -1, 4).transpose(1, 0, 2).astype("<i4").tobytes()


def pack_conv(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to the layout of conv_s8_mve.h."""
    del shape
    count = len(weights)
    flat = weights.reshape(count, -1)
    padded = np.zeros((_round_up(count, 4), _round_up(flat.shape[1], 16)), np.int8)
    padded[:count, : flat.shape[1]] = flat
    # (fours, channel / 2, channel % 2, depth16 / 16, 16) to (fours, channel % 2, depth16 / 16, channel / 2, 16)
    fours = padded.reshape(len(padded) // 4, 2, 2, -1, 16).transpose(0, 2, 3, 1, 4)
    return fours.tobytes() + _columns(channels, _round_up(count, 4))


def conv_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_conv_s8_mve` needs: gathered inputs of three pixels."""
    depth16 = _round_up(shape.kernel_height * shape.kernel_width * shape.in_channels, 16)
    return min(shape.out_width, 3) * depth16


def pack_depthwise(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to the layout of depthwise_s8_mve.h."""
    del shape
    count = weights.shape[2]
    flat = weights.transpose(2, 1, 0).reshape(count, -1)
    padded = np.zeros((_round_up(count, 16), _round_up(flat.shape[1], 16)), np.int8)
    padded[:count, : flat.shape[1]] = flat
    return padded.tobytes() + _columns(channels, _round_up(count, 16))


def depthwise_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_depthwise_s8_mve` needs: 16 channels turned."""
    taps16 = _round_up(shape.kernel_height * shape.kernel_width, 16)
    return 16 * ((shape.out_width - 1) * shape.stride_width * shape.kernel_height + taps16)


def _rounds_right(shape: ConvShape, channels: Channels) -> bool:
    del channels
    return shape.shifts == 1


def _lanes(shape: ConvShape, channels: Channels) -> bool:
    # Turned channels lie within the reach of 16-bit offsets.
    return (
        shape.multiplies == 1
        and shape.dilation_width == 1
        and depthwise_scratch_bytes(shape) < 16 * 4096
        and _rounds_right(shape, channels)
    )


KERNELS: Final = (
    Kernel("conv", "mve", "conv_s8_mve.h", "ekws_conv_s8_mve", _rounds_right, pack_conv, conv_scratch_bytes, ("weights",)),
    Kernel(
        "depthwise", "mve", "depthwise_s8_mve.h", "ekws_depthwise_s8_mve", _lanes, pack_depthwise, depthwise_scratch_bytes, ("weights",)
    ),
)
