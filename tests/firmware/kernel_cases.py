"""Single layers as C programs for an emulated board, and TFLite's reference arithmetic in numpy to compare with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.program import SHIFT_ONCE, SHIFT_RIGHT, Channels, ConvShape


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution of one output row; depthwise where `multiplies` is not 0. Names as in `ekws_conv_shape_t`.

    `relu`: the output's zero point is its least value. `dense`: rounded once, as FULLY_CONNECTED is.
    """

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
    relu: bool = False
    dense: bool = False
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
class Problem:
    """A layer with numbers in it, and what must come out: (out_width, out_channels) int8."""

    shape: ConvShape
    rows: NDArray[np.int8]
    weights: NDArray[np.int8]
    channels: Channels
    expected: NDArray[np.int8]


def requantize(acc: NDArray[np.int64], channels: Channels, zero: int, low: int, high: int) -> NDArray[np.int8]:
    """TFLite's double rounding for right shifts >= 1; acc (..., channels)."""
    product = acc * channels.multiplier.astype(np.int64)
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    total = product + nudge
    h = np.where(total >= 0, total >> 31, -((-total) >> 31))
    shift = channels.shift.astype(np.int64)
    mask = (np.int64(1) << shift) - 1
    rest = h & mask
    q = (h >> shift) + (rest > (mask >> 1) + (h < 0))
    return np.clip(q + zero, low, high).astype(np.int8)


def requantize_once(acc: NDArray[np.int64], channels: Channels, zero: int, low: int, high: int) -> NDArray[np.int8]:
    """What LiteRT's FULLY_CONNECTED does, for right shifts >= 0."""
    shift = 31 + channels.shift.astype(np.int64)
    q = (acc * channels.multiplier.astype(np.int64) + (np.int64(1) << (shift - 1))) >> shift
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
    out_zero = layer.low if layer.relu else out_zero
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
    channels = Channels(bias.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8))
    steps = (layer.kernel_height, layer.kernel_width, layer.stride_width, layer.dilation_width, layer.pad_left)
    widths = (layer.in_width, layer.in_channels, layer.out_width, layer.out_channels)
    shifts = SHIFT_ONCE if layer.dense else SHIFT_RIGHT
    shape = ConvShape(*widths, *steps, in_zero, out_zero, layer.low, layer.high, layer.multiplies, shifts)
    expected = (requantize_once if layer.dense else requantize)(acc + bias, channels, out_zero, layer.low, layer.high)
    return Problem(shape, rows, weights, channels, expected)


def _array(name: str, kind: str, values: NDArray[np.generic]) -> str:
    items = ", ".join("INT32_MIN" if int(v) == -(2**31) else str(int(v)) for v in values.ravel())
    return f"static const {kind} {name}[{max(1, values.size)}] __attribute__((aligned(16))) = {{{items}}};\n"


def _call(n: int, p: Problem, scratch: int, pitch: int) -> str:
    """Runs problem n; a byte beyond scratch or output that changes is the exit status n + 1."""
    rows = ", ".join(f"rows_{n} + {pitch * i}" for i in range(p.shape.kernel_height))
    size = p.shape.out_width * p.shape.out_channels
    return f"""  {{
    static int8_t scratch[{scratch + 16}] __attribute__((aligned(16)));
    static int8_t out[{size + 16}] __attribute__((aligned(4)));
    const int8_t *const rows[] = {{{rows}}};
    const ekws_weights_t w = {{weights_{n}, bias_{n}, multiplier_{n}, shift_{n}}};
    memset(scratch, 77, sizeof scratch);
    memset(out, 77, sizeof out);
    BOARD_REGION_BEGIN();
    layer_{n}(rows, &w, scratch, out);
    BOARD_REGION_END();
    for (unsigned i = 0; i < 16; i++) {{
      if (scratch[{scratch} + i] != 77 || out[{size} + i] != 77) {{
        return {n + 1};
      }}
    }}
    board_write(out, {size});
  }}
"""


def program(problems: Sequence[Problem], kernel: Kernel) -> str:
    """C of a program that runs each problem in a region of its own and writes its output."""
    taps = max(p.shape.kernel_height * p.shape.kernel_width for p in problems)
    parts = [f'#include <string.h>\n\n#define EKWS_MAX_TAPS {taps}\n#include "board.h"\n#include "kernels/{kernel.header}"\n']
    calls: list[str] = []
    for n, p in enumerate(problems):
        s = p.shape
        fields = ", ".join(f".{key} = {value}" for key, value in asdict(s).items())
        pitch = -(-s.in_width * s.in_channels // 4) * 4
        padded = np.zeros((s.kernel_height, pitch), np.int8)
        padded[:, : s.in_width * s.in_channels] = p.rows.reshape(s.kernel_height, -1)
        parts.append(_array(f"weights_{n}", "int8_t", np.frombuffer(kernel.pack(p.weights, p.channels, s), np.int8)))
        parts.append(_array(f"rows_{n}", "int8_t", padded))
        parts.append(_array(f"bias_{n}", "int32_t", p.channels.bias) + _array(f"multiplier_{n}", "int32_t", p.channels.multiplier))
        parts.append(_array(f"shift_{n}", "int8_t", p.channels.shift))
        parts.append(
            f"__attribute__((noinline)) static void layer_{n}(const int8_t *const *rows, const ekws_weights_t *w, void *scratch, "
            f"int8_t *out) {{\n  {kernel.function}((ekws_conv_shape_t){{{fields}}}, rows, w, scratch, out);\n}}\n"
        )
        calls.append(_call(n, p, kernel.scratch(s), pitch))
    return "".join(parts) + f"int board_main(void) {{\n{''.join(calls)}  return 0;\n}}\n"
