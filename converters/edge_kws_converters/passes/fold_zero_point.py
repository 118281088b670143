"""Row program -> row program: the input's zero point goes into the biases, and layers whose sums stay small are marked."""

from dataclasses import replace
from typing import Final

import numpy as np

from edge_kws_converters.program import SHIFT_ANY, SHIFT_RIGHT, ConvShape, Program

_PROVEN: Final = 2**30


def fold_zero_points(program: Program) -> None:
    """sum(w * (q - zero)) + bias = sum(w * q) + (bias - zero * sum(w)), in place.

    Where no sum can reach 2^30 and every shift is to the right, kernels may take the quicker of two equal roundings (SHIFT_RIGHT).
    """
    for layer in program.layers:
        if layer.weights is None or layer.channels is None:
            continue
        shape, channels = layer.shape, layer.channels
        assert isinstance(shape, ConvShape)
        others = (0, 1) if layer.kind == "depthwise" else (1, 2, 3)
        wide = layer.weights.astype(np.int64)
        folded = channels.bias - shape.in_zero * wide.sum(axis=others)
        bound = int((np.abs(folded) + 128 * np.abs(wide).sum(axis=others)).max())
        if shape.shifts == SHIFT_ANY and bound < _PROVEN and int(channels.shift.min()) >= 1:
            layer.shape = replace(shape, shifts=SHIFT_RIGHT)
        wrapped = ((folded + 2**31) % 2**32 - 2**31).astype(np.int32)
        layer.channels = replace(channels, bias=wrapped)
