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
    """Weights (kernel_height, kernel_width, out) int8 to the eights of depthwise_s8_mve.h."""
    del shape
    count = weights.shape[2]
    padded = _round_up(count, 8)
    taps = np.zeros((weights[:, :, 0].size, padded), np.int8)
    taps[:, :count] = weights.reshape(-1, count)
    columns = np.zeros((3, padded), "<i4")
    columns[:, :count] = channels.bias, channels.multiplier, -channels.shift.astype(np.int64)
    parts: list[bytes] = []
    for c in range(0, padded, 8):
        even, odd = slice(c, c + 8, 2), slice(c + 1, c + 8, 2)
        parts += [columns[0, even].tobytes(), columns[0, odd].tobytes(), taps[:, c : c + 8].tobytes()]
        parts += [columns[1:, even].tobytes(), columns[1:, odd].tobytes()]
    return b"".join(parts)


def pack_turned(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to the layout of depthwise_turned_s8_mve.h."""
    del shape
    count = weights.shape[2]
    flat = weights.transpose(2, 1, 0).reshape(count, -1)
    padded = np.zeros((_round_up(count, 16), _round_up(flat.shape[1], 16)), np.int8)
    padded[:count, : flat.shape[1]] = flat
    return padded.tobytes() + _columns(channels, _round_up(count, 16))


def turned_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_depthwise_turned_s8_mve` needs: 16 channels turned."""
    taps16 = _round_up(shape.kernel_height * shape.kernel_width, 16)
    return 16 * ((shape.out_width - 1) * shape.stride_width * shape.kernel_height + taps16)


def _no_scratch(shape: ConvShape) -> int:
    del shape
    return 0


def _rounds_right(shape: ConvShape, channels: Channels) -> bool:
    del channels
    return shape.shifts == 1


def _single(shape: ConvShape, channels: Channels) -> bool:
    return shape.multiplies == 1 and _rounds_right(shape, channels)


def _turned(shape: ConvShape, channels: Channels) -> bool:
    # Turned channels lie within the reach of 16-bit offsets.
    few = shape.kernel_width > 1 and shape.dilation_width == 1 and turned_scratch_bytes(shape) < 1 << 16
    return few and _single(shape, channels)


_USES: Final = ("weights",)
KERNELS: Final = (
    Kernel("conv", "mve", "conv_s8_mve.h", "ekws_conv_s8_mve", _rounds_right, pack_conv, conv_scratch_bytes, _USES),
    Kernel(
        "depthwise", "mve", "depthwise_turned_s8_mve.h", "ekws_depthwise_turned_s8_mve", _turned, pack_turned, turned_scratch_bytes, _USES
    ),
    Kernel("depthwise", "mve", "depthwise_s8_mve.h", "ekws_depthwise_s8_mve", _single, pack_depthwise, _no_scratch, _USES),
)
