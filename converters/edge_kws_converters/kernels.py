"""Which C kernel serves which layer on which core. Fast variants are rows in modules of their own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.program import Channels, ConvShape

Pack = Callable[[NDArray[np.int8], Channels, ConvShape], bytes]


def _always(shape: ConvShape) -> bool:
    del shape
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
        variant: portable, dsp or mve.
        header: file in firmware/src/kernels; `function`: what it defines.
        supports: whether it computes a shape.
        pack: weights (OHWI, or HWC for depthwise) in the kernel's layout.
        scratch: bytes of work space in the arena.
        uses: which members of ekws_weights_t it reads.
    """

    op: str
    variant: str
    header: str
    function: str
    supports: Callable[[ConvShape], bool] = _always
    pack: Pack = _plain
    scratch: Callable[[ConvShape], int] = _padding_pixel
    uses: tuple[str, ...] = ("weights", "bias", "multiplier", "shift")


PORTABLE = (
    Kernel("conv", "portable", "conv_s8.h", "ekws_conv_s8"),
    Kernel("depthwise", "portable", "depthwise_s8.h", "ekws_depthwise_s8"),
)

_DSP, _MVE, _PLAIN = ("dsp", "portable"), ("mve", "dsp", "portable"), ("portable",)
CORES: dict[str, tuple[str, ...]] = {
    "host": _PLAIN,
    "cortex-m0": _PLAIN,
    "cortex-m0plus": _PLAIN,
    "cortex-m3": _PLAIN,
    "cortex-m4": _DSP,
    "cortex-m7": _DSP,
    "cortex-m33": _DSP,
    "cortex-m55": _MVE,
    "rv32": _PLAIN,
}
"""Core -> variants, the preferred first."""

KERNELS: tuple[Kernel, ...] = PORTABLE
"""Every kernel; of several that support a shape, the core's preferred variant is taken, then the first."""


def check_core(core: str) -> None:
    """Raises ConversionError for an unknown core."""
    if core not in CORES:
        raise ConversionError(f"core: expected one of {', '.join(CORES)}, found {core}; choose the nearest")


def choose(op: str, shape: ConvShape, core: str) -> Kernel:
    """The kernel for a layer on a known core."""
    candidates = [kernel for kernel in KERNELS if kernel.op == op and kernel.supports(shape)]
    return min((k for k in candidates if k.variant in CORES[core]), key=lambda kernel: CORES[core].index(kernel.variant))
