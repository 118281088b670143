"""Row program -> row program for a core: each convolution gets its kernel, and its weights in the order in which that kernel reads them."""

import numpy as np

from edge_kws_converters.kernels import choose
from edge_kws_converters.program import ConvShape, Program


def lay_out_weights(program: Program, core: str) -> None:
    """Sets kernel, constants and scratch of the layers with weights, in place; `core` is a key of kernels.CORES."""
    for layer in program.layers:
        if layer.weights is None or layer.channels is None:
            continue
        shape, channels = layer.shape, layer.channels
        assert isinstance(shape, ConvShape)
        kernel = layer.kernel = choose(layer.kind, shape, channels, core)
        packed = np.frombuffer(kernel.pack(layer.weights, channels, shape), np.int8)
        parts = {"weights": packed, "bias": channels.bias, "multiplier": channels.multiplier, "shift": channels.shift}
        layer.constants = {name: part for name, part in parts.items() if name in kernel.uses}
        layer.scratch = kernel.scratch(shape)
