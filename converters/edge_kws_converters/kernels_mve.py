"""Weight layouts of the Helium kernels (Cortex-M55); `firmware/src/kernels/*_s8_mve.h` describe them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel, PlainKernel
from edge_kws_converters.kernels_dsp import is_dense, of_one_size, runs_side_by_side
from edge_kws_converters.program import Channels, ConvShape


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


_EIGHT: Final = (0, 2, 4, 6, 1, 3, 5, 7)
"""Order of channels in the columns of requantize_mve.h; quads of weights take lanes 0 and 2 of even and odd ones, then 1 and 3."""


def _columns(channels: Channels, taken: NDArray[np.int64]) -> bytes:
    """Bias, multiplier and minus shift of channels, one after the other; zeros for those that are not there."""
    there = taken < len(channels.bias)
    table = np.zeros((3, len(taken)), np.int64)
    known = taken[there]
    table[:, there] = channels.bias[known], channels.multiplier[known], -channels.shift[known].astype(np.int64)
    return table[:2].astype("<i4").tobytes() + table[2].astype(np.int8).tobytes()


def _groups(count: int) -> list[NDArray[np.int64]]:
    """Channels eight by eight, then what is left four by four."""
    eights = [np.arange(c, c + 8) for c in range(0, count - 7, 8)]
    return eights + [np.arange(c, c + 4) for c in range(count // 8 * 8, count, 4)]


def pack_conv(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to the layout of conv_s8_mve.h."""
    del shape
    count = len(weights)
    flat = weights.reshape(count, -1)
    padded = np.zeros((_round_up(count, 4), _round_up(flat.shape[1], 16)), np.int8)
    padded[:count, : flat.shape[1]] = flat
    parts: list[bytes] = []
    for group in _groups(count):
        quads = group[[0, 4, 1, 5, 2, 6, 3, 7]] if len(group) == 8 else group[[0, 2, 1, 3]]
        # (quads, 4, depth16 / 16, 16) to (quads, depth16 / 16, 4, 16)
        parts.append(padded[quads].reshape(-1, 4, padded.shape[1] // 16, 16).transpose(0, 2, 1, 3).tobytes())
        parts.append(_columns(channels, group[list(_EIGHT)] if len(group) == 8 else group))
    return b"".join(parts)


def conv_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_conv_s8_mve` needs: gathered inputs of two pixels, and what short runs are stored with."""
    depth16 = _round_up(shape.kernel_height * shape.kernel_width * shape.in_channels, 16)
    return min(shape.out_width, 2) * depth16 + 16


def pack_dense(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to the fours of dense_s8_mve.h."""
    del channels, shape
    return runs_side_by_side(weights, 4, 16)


def pack_depthwise(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to the eights of depthwise_s8_mve.h."""
    del shape
    count = weights.shape[2]
    taps = np.zeros((weights[:, :, 0].size, _round_up(count, 8)), np.int8)
    taps[:, :count] = weights.reshape(-1, count)
    eights = (np.arange(c, c + 8) for c in range(0, count, 8))
    return b"".join(taps[:, eight].tobytes() + _columns(channels, eight[list(_EIGHT)]) for eight in eights)


def pack_words(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to the fours of depthwise_words_s8_mve.h."""
    del shape
    height, width, count = weights.shape
    taps = np.zeros((_round_up(count, 4), 4, 4), np.int8)
    taps[:count, :width, :height] = weights.transpose(2, 1, 0)
    fours = (np.arange(c, c + 4) for c in range(0, count, 4))
    return b"".join(taps[four[[0, 2, 1, 3]]].tobytes() + _columns(channels, four) for four in fours)


def words_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_depthwise_words_s8_mve` needs: the columns of 16 channels, and what the last windows reach beyond them."""
    return 64 * ((shape.out_width - 1) * shape.stride_width + 3 * shape.dilation_width + 1)


def pack_tall(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, 1, out) int8 to the eights of depthwise_tall_s8_mve.h; a multiple of 8 channels."""
    del shape
    height, _, count = weights.shape
    taps = np.zeros((count, _round_up(height, 16)), np.int8)
    taps[:, :height] = weights[:, 0].T
    eights = (np.arange(c, c + 8) for c in range(0, count, 8))
    return b"".join(taps[eight[[0, 4, 1, 5, 2, 6, 3, 7]]].tobytes() + _columns(channels, eight[list(_EIGHT)]) for eight in eights)


def tall_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_depthwise_tall_s8_mve` needs: a word of each four rows for 16 channels, fours of them."""
    return 256 * (_round_up(shape.kernel_height, 16) // 16)


def pack_turned(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to the layout of depthwise_turned_s8_mve.h."""
    del shape
    count = weights.shape[2]
    flat = weights.transpose(2, 1, 0).reshape(count, -1)
    padded = np.zeros((_round_up(count, 16), _round_up(flat.shape[1], 16)), np.int8)
    padded[:count, : flat.shape[1]] = flat
    fours = (np.arange(c, c + 4) for c in range(0, len(padded), 4))
    return padded.tobytes() + b"".join(_columns(channels, four) for four in fours)


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


def _words(shape: ConvShape, channels: Channels) -> bool:
    # Offsets of an instruction end at 508: two windows are at most 448 apart.
    small = shape.kernel_height <= 4 and 1 < shape.kernel_width <= 4 and shape.stride_width < 8
    return small and _single(shape, channels)


def _tall(shape: ConvShape, channels: Channels) -> bool:
    one = shape.kernel_width == 1 and shape.pad_left == 0 and not shape.padded
    return one and 4 < shape.kernel_height <= 32 and shape.out_channels % 8 == 0 and _single(shape, channels)


def _turned(shape: ConvShape, channels: Channels) -> bool:
    # Turned channels lie within the reach of 16-bit offsets.
    few = shape.kernel_width > 1 and shape.dilation_width == 1 and turned_scratch_bytes(shape) < 1 << 16
    return few and _single(shape, channels)


def _sixteens(shape: Mapping[str, int]) -> bool:
    return shape["channels"] % 16 == 0


def _fours(shape: Mapping[str, int]) -> bool:
    return shape["channels"] % 4 == 0


_USES: Final = ("weights",)
KERNELS: Final = (
    Kernel("conv", "mve", "conv_s8_mve.h", "ekws_conv_s8_mve", _rounds_right, pack_conv, conv_scratch_bytes, _USES, 2),
    Kernel("conv", "mve", "dense_s8_mve.h", "ekws_dense_s8_mve", is_dense, pack_dense, _no_scratch),
    Kernel("depthwise", "mve", "depthwise_words_s8_mve.h", "ekws_depthwise_words_s8_mve", _words, pack_words, words_scratch_bytes, _USES),
    Kernel("depthwise", "mve", "depthwise_tall_s8_mve.h", "ekws_depthwise_tall_s8_mve", _tall, pack_tall, tall_scratch_bytes, _USES),
    Kernel(
        "depthwise", "mve", "depthwise_turned_s8_mve.h", "ekws_depthwise_turned_s8_mve", _turned, pack_turned, turned_scratch_bytes, _USES
    ),
    Kernel("depthwise", "mve", "depthwise_s8_mve.h", "ekws_depthwise_s8_mve", _single, pack_depthwise, _no_scratch, _USES),
)
PLAIN_KERNELS: Final = (
    PlainKernel("ekws_add_s8", "mve", "add_s8_mve.h", "ekws_add_s8_mve", of_one_size),
    PlainKernel("ekws_max_pool_s8", "mve", "pool_s8_mve.h", "ekws_max_pool_s8_mve", _sixteens),
    PlainKernel("ekws_sum_row_s8", "mve", "pool_s8_mve.h", "ekws_sum_row_s8_mve", _fours),
)
