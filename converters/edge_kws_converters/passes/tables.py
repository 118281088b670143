"""Functions of one value as tables of all 256: one row an operator, no C of their own."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters import arithmetic
from edge_kws_converters.graph import Activation, Graph, Node, Quantization

Table = Callable[[Graph, Node, Quantization, Quantization], NDArray[np.integer]]


def table_of(graph: Graph, node: Node, source: Quantization) -> NDArray[np.int8]:
    """What a node of `TABLES` makes of each int8 (256,), quantised as `source`. Raises ConversionError for scales that LiteRT refuses."""
    return TABLES[node.op](graph, node, source, graph.quantization(node, node.outputs[0])).astype(np.int8)


def _rescaled(activation: Activation) -> Table:
    def table(graph: Graph, node: Node, source: Quantization, result: Quantization) -> NDArray[np.integer]:
        del graph, node
        factor = float(source.scale / result.scale)
        return arithmetic.rescale_table(factor, source.zero_point, result.zero_point, *result.clamp(activation))

    return table


def _quantize(graph: Graph, node: Node, source: Quantization, result: Quantization) -> NDArray[np.integer]:
    """Scales divide in double precision here, in single in the activations."""
    del graph, node
    return arithmetic.rescale_table(float(source.scale) / float(result.scale), source.zero_point, result.zero_point)


def _leaky_relu(graph: Graph, node: Node, source: Quantization, result: Quantization) -> NDArray[np.integer]:
    alpha = float(source.scale * np.float32(node.options["alpha"]) / result.scale)
    below = arithmetic.rescale_table(alpha, source.zero_point, result.zero_point)
    return np.where(np.arange(-128, 128) < source.zero_point, below, _rescaled("none")(graph, node, source, result))


def _hard_swish(graph: Graph, node: Node, source: Quantization, result: Quantization) -> NDArray[np.integer]:
    del graph, node
    return arithmetic.hard_swish_table(float(source.scale), source.zero_point, float(result.scale), result.zero_point)


def _fixed(function: Callable[[float, int], NDArray[np.int8]], scale: float, zero: int) -> Table:
    """A function whose output TFLite gives one scale."""

    def table(graph: Graph, node: Node, source: Quantization, result: Quantization) -> NDArray[np.integer]:
        if (float(result.scale), result.zero_point) != (scale, zero):
            found = f"{(float(result.scale), result.zero_point)}"
            raise graph.refuse(node, f"scale and zero point {(scale, zero)}", found, "quantise again")
        return function(float(source.scale), source.zero_point)

    return table


TABLES: Final[dict[str, Table]] = {
    "hard_swish": _hard_swish,
    "leaky_relu": _leaky_relu,
    "logistic": _fixed(arithmetic.logistic_table, 1 / 256, -128),
    "quantize": _quantize,
    "relu": _rescaled("relu"),
    "relu6": _rescaled("relu6"),
    "relu_n1_to_1": _rescaled("relu_n1_to_1"),
    "tanh": _fixed(arithmetic.tanh_table, 1 / 128, 0),
}
"""Operator -> its table."""
