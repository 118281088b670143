"""Weight layout of the Cortex-M0 kernel; `firmware/src/kernels/conv_s8_m0.h` describes it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.program import Channels, ConvShape

_MAX_DEPTH: Final = 2048
"""Deeper layers would need as much scratch; their inputs are read where they lie."""


def pack_conv(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    """Weights (out, kernel_height, kernel_width, in) int8 to the fours of conv_s8_m0.h."""
    del shape
    count = len(weights)
    flat = weights.reshape(count, -1)
    padded = -(-count // 4) * 4
    depth8 = -(-flat.shape[1] // 8) * 8
    taps = np.full((padded, depth8), 128, np.uint8)
    taps[:count, : flat.shape[1]] = flat.astype(np.int16) + 128
    columns = np.zeros((2, padded), np.int64)
    columns[:, :count] = channels.bias.astype(np.int64) - 128 * flat.sum(1, dtype=np.int64), channels.multiplier
    wrapped = ((columns + 2**31) % 2**32 - 2**31).astype("<i4")
    shift = np.ones(padded, np.int8)
    shift[:count] = channels.shift
    parts: list[bytes] = []
    for c in range(0, padded, 4):
        four = slice(c, c + 4)
        parts += [wrapped[:, four].tobytes(), shift[four].tobytes(), taps[four].T.tobytes()]
    return b"".join(parts)


def conv_scratch_bytes(shape: ConvShape) -> int:
    """Bytes of scratch `ekws_conv_s8_m0` needs: one pixel's inputs."""
    return -(-shape.kernel_height * shape.kernel_width * shape.in_channels // 8) * 8


def _shallow(shape: ConvShape, channels: Channels) -> bool:
    del channels
    return conv_scratch_bytes(shape) <= _MAX_DEPTH


KERNELS: Final = (Kernel("conv", "m0", "conv_s8_m0.h", "ekws_conv_s8_m0", _shallow, pack_conv, conv_scratch_bytes, ("weights",)),)
