"""The kernels of every core against TFLite's reference arithmetic, on the emulated core: random layers, random and extreme values."""

import shutil
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from edge_kws_boards.emulator import EmulatedBoard, build
from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.kernels import KERNELS
from tests.firmware.kernel_cases import Layer, problem, program
from tests.firmware.test_boards import installed

ROOT = Path(__file__).resolve().parents[2]
CLANG = "clang-19"
BOARDS = {
    "dsp": ("m4", "m7", "m33", "m55"),
    "mve": ("m55",),
    "m0": ("m0plus", "m3"),
    "portable": ("m0plus", "m3", "rv32"),
    "vector": ("m3",),
}
KNOWN = (
    Layer(in_width=5, in_channels=64, out_channels=64),
    Layer(in_width=10, in_channels=1, out_channels=64, kernel_height=10, kernel_width=4, stride_width=2, same=True),
    Layer(in_width=1, in_channels=128, out_channels=31),
    Layer(in_width=20, in_channels=8, out_channels=3, kernel_height=9, kernel_width=20),
    Layer(in_width=20, in_channels=8, out_channels=4, kernel_height=25, kernel_width=20, dense=True),
    Layer(in_width=2, in_channels=80, out_channels=80, relu=True),
    Layer(in_width=5, in_channels=64, out_channels=64, kernel_height=3, kernel_width=3, same=True, multiplies=1),
    Layer(in_width=19, in_channels=16, out_channels=16, kernel_height=3, kernel_width=3, multiplies=1),
    Layer(in_width=1, in_channels=128, out_channels=128, kernel_height=10, multiplies=1),
    Layer(in_width=1, in_channels=72, out_channels=72, kernel_height=18, multiplies=1, relu=True),
    Layer(in_width=3, in_channels=40, out_channels=40, kernel_height=5, stride_width=2, multiplies=1, extreme=True),
    Layer(in_width=4, in_channels=48, out_channels=48, kernel_height=3, kernel_width=4, multiplies=1),
)
"""Layers of the models that are measured."""


def _random_layer(rng: np.random.Generator, depthwise: bool) -> Layer:
    channels, kernel, dilation = (int(rng.integers(low, high)) for low, high in ((1, 40), (1, 6), (1, 3)))
    if depthwise and rng.integers(2):
        channels = 4 * int(rng.integers(1, 12))
    multiplies = (1 if rng.integers(4) else 2) if depthwise else 0
    dense = not depthwise and not rng.integers(4)
    dilation = 1 if dense else dilation
    reach = (kernel - 1) * dilation + 1
    return Layer(
        in_width=reach if dense else int(rng.integers(reach, reach + 12)),
        in_channels=channels,
        out_channels=channels * multiplies if depthwise else int(rng.integers(1, 40)),
        kernel_height=int(rng.integers(1, 6 if kernel > 1 else 34)),
        kernel_width=kernel,
        stride_width=int(rng.integers(1, 4)),
        dilation_width=dilation,
        same=not dense and bool(rng.integers(2)),
        dense=dense,
        multiplies=multiplies,
        low=int(rng.choice([-128, -10])),
        high=int(rng.choice([127, 20])),
        relu=bool(rng.integers(2)),
        extreme=bool(rng.integers(2)),
        seed=int(rng.integers(1 << 30)),
    )


def _check(board: EmulatedBoard, kernel: Kernel, folder: Path) -> None:
    rng = np.random.default_rng(len(kernel.function))
    layers = [layer for layer in KNOWN if bool(layer.multiplies) == (kernel.op == "depthwise")]
    drawn = (_random_layer(rng, kernel.op == "depthwise") for _ in range(2000))
    supported = (p for p in map(problem, chain(layers, drawn)) if kernel.supports(p.shape, p.channels))
    problems = list(islice(supported, 20))
    assert len(problems) == 20
    source = folder / "program.c"
    source.write_text(program(problems, kernel))
    firmware = build(board, folder / "build", root=ROOT, harness=[], sources=[source], include=[ROOT / "firmware" / "src"])
    output, at = np.frombuffer(firmware.run().output, np.int8), 0
    for p in problems:
        size = p.expected.size
        np.testing.assert_array_equal(output[at : at + size].reshape(p.expected.shape), p.expected, err_msg=str(p.shape))
        at += size
    assert at == output.size


@pytest.mark.parametrize(("kernel", "name"), [(k, b) for k in KERNELS for b in BOARDS[k.variant]], ids=lambda p: getattr(p, "function", p))
def test_kernel_is_exact(tmp_path: Path, kernel: Kernel, name: str) -> None:
    _check(installed(name), kernel, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(CLANG) is None, reason=f"needs {CLANG}")
@pytest.mark.parametrize("kernel", [k for k in KERNELS if k.variant in ("dsp", "mve")], ids=lambda k: k.function)
def test_clang_compiles_the_same(tmp_path: Path, kernel: Kernel) -> None:
    _check(replace(installed("m4" if kernel.variant == "dsp" else "m55"), clang=CLANG), kernel, tmp_path)
