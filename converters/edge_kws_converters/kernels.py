"""Which C kernel serves which layer on which core. Fast variants are rows in modules of their own."""

from typing import Any

from edge_kws.errors import ConversionError
from edge_kws_converters import kernels_dsp, kernels_m0, kernels_mve, kernels_vector
from edge_kws_converters.kernel_row import Kernel, PlainKernel
from edge_kws_converters.program import Channels, ConvShape

PORTABLE = (
    Kernel("conv", "portable", "conv_s8.h", "ekws_conv_s8"),
    Kernel("depthwise", "portable", "depthwise_s8.h", "ekws_depthwise_s8"),
)

_DSP, _MVE, _M0, _PLAIN = ("dsp", "portable"), ("mve", "dsp", "portable"), ("m0", "portable"), ("portable",)
CORES: dict[str, tuple[str, ...]] = {
    "host": ("vector", "portable"),
    "cortex-m0": _M0,
    "cortex-m0plus": _M0,
    "cortex-m3": _PLAIN,
    "cortex-m4": _DSP,
    "cortex-m7": _DSP,
    "cortex-m33": _DSP,
    "cortex-m55": _MVE,
    "rv32": _PLAIN,
    "portable": _PLAIN,
}
"""Core -> variants, the preferred first."""

KERNELS: tuple[Kernel, ...] = (*kernels_mve.KERNELS, *kernels_dsp.KERNELS, *kernels_m0.KERNELS, *kernels_vector.KERNELS, *PORTABLE)
"""Every kernel; of several that support a shape, the core's preferred variant is taken, then the first."""


PLAIN_KERNELS: tuple[PlainKernel, ...] = (*kernels_mve.PLAIN_KERNELS, *kernels_dsp.PLAIN_KERNELS)
"""Fast variants of kernels without weights, chosen as those of KERNELS."""


def check_core(core: str) -> None:
    """Raises ConversionError for an unknown core."""
    if core not in CORES:
        raise ConversionError(f"core: expected one of {', '.join(CORES)}, found {core}; choose the nearest")


def choose(op: str, shape: ConvShape, channels: Channels, core: str) -> Kernel:
    """The kernel for a layer on a known core."""
    candidates = [kernel for kernel in KERNELS if kernel.op == op and kernel.supports(shape, channels)]
    return min((k for k in candidates if k.variant in CORES[core]), key=lambda kernel: CORES[core].index(kernel.variant))


def choose_plain(portable: str, shape: Any, core: str) -> PlainKernel | None:
    """The core's fast variant of a kernel without weights, for the fields of its C struct; None where it has none."""
    candidates = [k for k in PLAIN_KERNELS if k.portable == portable and k.variant in CORES[core] and k.supports(shape)]
    return min(candidates, key=lambda kernel: CORES[core].index(kernel.variant), default=None)
