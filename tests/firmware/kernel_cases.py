"""Single layers as C programs for an emulated board, and TFLite's reference arithmetic in numpy to compare with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution of one output row; depthwise where `multiplies` is not 0. Names as in `ekws_conv_shape_t`."""

    in_width: int
    in_channels: int
    out_channels: int
    kernel_height: int = 1
    kernel_width: int = 1
    stride_width: int = 1
    dilation_width: int = 1
    same: bool = False
    multiplies: int = 0
    low: int = -128
    high: int = 127
    extreme: bool = False
    seed: int = 0

    @property
    def _reach(self) -> int:
        return (self.kernel_width - 1) * self.dilation_width + 1

    @property
    def out_width(self) -> int:
        return -(-self.in_width // self.stride_width) if self.same else (self.in_width - self._reach) // self.stride_width + 1

    @property
    def pad_left(self) -> int:
        return max(0, (self.out_width - 1) * self.stride_width + self._reach - self.in_width) // 2 if self.same else 0


@dataclass(frozen=True)
class Channels:
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """A layer with numbers in it, and what must come out: (out_width, out_channels) int8."""

    layer: Layer
    rows: NDArray[np.int8]
    weights: NDArray[np.int8]
    channels: Channels
    in_zero: int
    out_zero: int
    expected: NDArray[np.int8]


def requantize(acc: NDArray[np.int64], channels: Channels, zero: int, low: int, high: int) -> NDArray[np.int8]:
    """TFLite's double rounding for right shifts >= 1; acc (..., channels)."""
    product = acc * channels.multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    total = product + nudge
    h = np.where(total >= 0, total >> 31, -((-total) >> 31))
    mask = (np.int64(1) << channels.shift) - 1
    rest = h & mask
    q = (h >> channels.shift) + (rest > (mask >> 1) + (h < 0))
    return np.clip(q + zero, low, high).astype(np.int8)


def problem(layer: Layer) -> Problem:
    """Random numbers, or the largest there are, for a layer."""
    rng = np.random.default_rng(layer.seed)

    def values(*size: int) -> NDArray[np.int8]:
        return rng.choice(np.array([-128, 127], np.int8), size) if layer.extreme else rng.integers(-128, 128, size, np.int8)

    rows = values(layer.kernel_height, layer.in_width, layer.in_channels)
    depthwise = layer.multiplies != 0
    kernel = (layer.kernel_height, layer.kernel_width)
    weights = values(*kernel, layer.out_channels) if depthwise else values(layer.out_channels, *kernel, layer.in_channels)
    weights = np.where(weights == -128, -127, weights).astype(np.int8)
    in_zero, out_zero = (int(z) for z in rng.integers(-128, 128, 2))
    taps = np.full((layer.kernel_height, layer.kernel_width, layer.out_width, layer.in_channels), in_zero, np.int64)
    for x in range(layer.out_width):
        for kx in range(layer.kernel_width):
            column = x * layer.stride_width - layer.pad_left + kx * layer.dilation_width
            if 0 <= column < layer.in_width:
                taps[:, kx, x] = rows[:, column]
    if depthwise:
        acc = np.einsum("hwxc,hwc->xc", np.repeat(taps, layer.multiplies, axis=3), weights.astype(np.int64))
        folded = weights.astype(np.int64).sum((0, 1))
    else:
        acc = np.einsum("hwxc,ohwc->xo", taps, weights.astype(np.int64))
        folded = weights.astype(np.int64).sum((1, 2, 3))
    bias = rng.integers(-20000, 20000, layer.out_channels) - in_zero * folded
    span = int(np.abs(acc + bias).max()) + 1
    shift = rng.integers(1, 24, layer.out_channels) if layer.extreme else rng.integers(0, 3, layer.out_channels) + span.bit_length() - 8
    shift = np.clip(shift, 1, 23)
    multiplier = rng.integers(1 << 30, 1 << 31, layer.out_channels)
    channels = Channels(bias, multiplier, shift)
    expected = requantize(acc + bias, channels, out_zero, layer.low, layer.high)
    return Problem(layer, rows, weights, channels, in_zero, out_zero, expected)


@dataclass(frozen=True)
class Kernel:
    """How to call a kernel: its header, its function, its weight layout, its scratch."""

    header: str
    function: str
    pack: Callable[[Problem], bytes]
    scratch: Callable[[Layer], int]


def _bytes_array(name: str, data: bytes) -> str:
    return f"static const int8_t {name}[{max(1, len(data))}] __attribute__((aligned(16))) = {{{', '.join(map(str, np.frombuffer(data, np.int8)))}}};\n"


def program(problems: Sequence[Problem], kernel: Kernel) -> str:
    """C of a program that runs each problem in a region of its own and writes its output."""
    parts = [f'#include "board.h"\n#include "kernels/{kernel.header}"\n']
    calls: list[str] = []
    for n, p in enumerate(problems):
        s = p.layer
        shape = dict[str, Any](
            in_width=s.in_width, in_channels=s.in_channels, out_width=s.out_width, out_channels=s.out_channels,
            kernel_height=s.kernel_height, kernel_width=s.kernel_width, stride_width=s.stride_width, dilation_width=s.dilation_width,
            pad_left=s.pad_left, in_zero=p.in_zero, out_zero=p.out_zero, low=s.low, high=s.high, multiplies=s.multiplies,
            shifts="EKWS_SHIFT_RIGHT",
        )  # fmt: skip
        fields = ", ".join(f".{key} = {value}" for key, value in shape.items())
        pitch = -(-s.in_width * s.in_channels // 4) * 4
        padded = np.zeros((s.kernel_height, pitch), np.int8)
        padded[:, : s.in_width * s.in_channels] = p.rows.reshape(s.kernel_height, -1)
        parts.append(_bytes_array(f"weights_{n}", kernel.pack(p)))
        parts.append(_bytes_array(f"rows_{n}", padded.tobytes()))
        rows = ", ".join(f"rows_{n} + {pitch * i}" for i in range(s.kernel_height))
        parts.append(
            f"__attribute__((noinline)) static void layer_{n}(const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out) {{\n"
            f"  {kernel.function}((ekws_conv_shape_t){{{fields}}}, rows, w, scratch, out);\n}}\n"
        )
        size = s.out_width * s.out_channels
        calls.append(
            f"  {{\n    static int8_t scratch[{kernel.scratch(s) + 16}] __attribute__((aligned(16)));\n"
            f"    static int8_t out[{size} + 1] __attribute__((aligned(4)));\n"
            f"    const int8_t *const rows[] = {{{rows}}};\n"
            f"    const ekws_weights_t w = {{weights_{n}, 0, 0, 0}};\n"
            f"    out[{size}] = 77;\n    for (unsigned i = 0; i < 16; i++) scratch[{kernel.scratch(s)} + i] = 77;\n"
            f"    board_paint_stack();\n    BOARD_REGION_BEGIN();\n    layer_{n}(rows, &w, scratch, out);\n    BOARD_REGION_END();\n"
            f"    const uint32_t used = board_stack_used();\n    deepest = used > deepest ? used : deepest;\n"
            f"    int8_t beyond = out[{size}] == 77;\n    for (unsigned i = 0; i < 16; i++) beyond = beyond && scratch[{kernel.scratch(s)} + i] == 77;\n"
            f"    if (!beyond) return {n + 1};\n    board_write(out, {size});\n  }}\n"
        )
    return "".join(parts) + "int board_main(void) {\n  uint32_t deepest = 0;\n" + "".join(calls) + '  board_report("stack", deepest);\n  return 0;\n}\n'
