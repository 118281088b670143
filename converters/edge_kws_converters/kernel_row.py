"""One row of the tables in kernels.py: a C kernel and what it can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.program import Channels, ConvShape

Pack = Callable[[NDArray[np.int8], Channels, ConvShape], bytes]


def _always(shape: ConvShape, channels: Channels) -> bool:
    del shape, channels
    return True


def _plain(weights: NDArray[np.int8], channels: Channels, shape: ConvShape) -> bytes:
    del channels, shape
    return weights.tobytes()


def _padding_pixel(shape: ConvShape) -> int:
    return shape.in_channels if shape.padded else 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A convolution kernel.

    Attributes:
        op: conv or depthwise.
        variant: portable, m0, dsp, mve or vector.
        header: file in firmware/src/kernels; `function`: what it defines.
        supports: whether it computes a shape with these multipliers and shifts.
        pack: weights (OHWI, or HWC for depthwise) in the kernel's layout.
        scratch: bytes of work space in the arena.
        uses: which members of ekws_weights_t it reads.
        together: pixels that share what it loads of the weights.
    """

    op: str
    variant: str
    header: str
    function: str
    supports: Callable[[ConvShape, Channels], bool] = _always
    pack: Pack = _plain
    scratch: Callable[[ConvShape], int] = _padding_pixel
    uses: tuple[str, ...] = ("weights", "bias", "multiplier", "shift")
    together: int = 1


@dataclass(frozen=True, slots=True)
class PlainKernel:
    """A fast variant of the kernel without weights whose function is `portable`; `supports`: for a shape, the fields of its C struct."""

    portable: str
    variant: str
    header: str
    function: str
    supports: Callable[[Mapping[str, int]], bool]
