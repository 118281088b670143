"""Weight layout of the host kernels; `firmware/src/kernels/vector.h` describes it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.program import Channels, ConvShape

_MAX_SHIFT: Final = 14


def _pack(taps: NDArray[np.int8], channels: Channels) -> bytes:
    """Taps (runs, run, channels) to groups of 8 channels; runs of odd length get a tap of zeros."""
    runs, run, count = taps.shape
    padded = np.zeros((runs, -(-run // 2) * 2, -(-count // 8) * 8), "<i2")
    padded[:, :run, :count] = taps
    columns = np.zeros((4, padded.shape[2]), "<i4")
    columns[2] = 1
    shift = channels.shift.astype(np.int32)
    columns[:, :count] = channels.bias, channels.multiplier, shift, np.ldexp(np.float32(1), -shift).view(np.int32)
    parts: list[bytes] = []
    for c in range(0, padded.shape[2], 8):
        pairs = padded[:, :, c : c + 8].reshape(-1, 2, 8).transpose(0, 2, 1)
        parts += [columns[:, c : c + 8].tobytes(), pairs.tobytes()]
    return b"".join(parts)


def pack_conv(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to groups; what touches makes a run."""
    touching = shape.kernel_width if shape.dilation_width == 1 else 1
    return _pack(weights.transpose(1, 2, 3, 0).reshape(-1, touching * shape.in_channels, len(weights)), channels)


def conv_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_conv_s8_vector` needs: its rows as int16, padded, and one element more."""
    reach = (shape.out_width - 1) * shape.stride_width - shape.pad_left + (shape.kernel_width - 1) * shape.dilation_width + 1
    return 2 * (shape.kernel_height * (shape.pad_left + max(reach, shape.in_width)) * shape.in_channels + 1)


def pack_depthwise(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (kernel_height, kernel_width, out) int8 to groups."""
    del shape
    return _pack(weights.reshape(1, -1, weights.shape[2]), channels)


def _rounds(shape: ConvShape, channels: Channels) -> bool:
    return shape.shifts == 1 and int(channels.shift.max()) <= _MAX_SHIFT


def _single(shape: ConvShape, channels: Channels) -> bool:
    return shape.multiplies == 1 and _rounds(shape, channels)


_USES: Final = ("weights",)
KERNELS: Final = (
    Kernel("conv", "vector", "conv_s8_vector.h", "ekws_conv_s8_vector", _rounds, pack_conv, conv_scratch_bytes, _USES),
    Kernel("depthwise", "vector", "depthwise_s8_vector.h", "ekws_depthwise_s8_vector", _single, pack_depthwise, uses=_USES),
)
