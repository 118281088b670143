"""Conv1D models: Keras lays time on the width of (1, 1, T, C) images. Here they stand up, (1, T, 1, C): the same bytes, time in rows."""

from dataclasses import replace

import numpy as np

from edge_kws_converters.graph import Graph, Node, Tensor, Window
from edge_kws_converters.passes.lower_elementwise import ELEMENTWISE
from edge_kws_converters.passes.tables import TABLES

_RESHAPES = ("reshape", "expand_dims", "squeeze")
_FOLLOWS = (*_RESHAPES, *TABLES, *ELEMENTWISE)
_WINDOWED = ("conv_2d", "depthwise_conv_2d", "average_pool_2d", "max_pool_2d")


def upright(graph: Graph) -> Graph:
    """Stands up every image of one row, if all that touch them can follow; else leaves the graph as it is."""
    lying = {tensor.index for tensor in graph.tensors if tensor.data is None and _lies(tensor)}
    touching = [node for node in graph.nodes if lying.intersection((*node.inputs, *node.outputs))]
    comes_from_series = any(node.op in _RESHAPES and len(graph.tensors[node.inputs[0]].shape) == 3 for node in touching)
    if not comes_from_series or any(node.op not in (*_FOLLOWS, *_WINDOWED) or not _flat(graph, node) for node in touching):
        return graph
    for index in lying:
        graph.tensors[index] = _stood_up(graph.tensors[index])
    for node in touching:
        if node.op in _WINDOWED:
            _turn(graph, node)
    return graph


def _lies(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[:2] == (1, 1) and tensor.shape[2] > 1


def _stood_up(tensor: Tensor) -> Tensor:
    batch, rows, width, channels = tensor.shape
    return replace(tensor, shape=(batch, width, rows, channels))


def _flat(graph: Graph, node: Node) -> bool:
    """Whether a windowed node has a kernel of one row, and an elementwise one no image constants."""
    if node.op in ("conv_2d", "depthwise_conv_2d"):
        return len(node.inputs) > 1 and len(graph.tensors[node.inputs[1]].shape) == 4 and graph.tensors[node.inputs[1]].shape[1] == 1
    if node.window is not None:
        return node.window.kernel[0] == 1
    return not any(i >= 0 and graph.tensors[i].data is not None and _lies(graph.tensors[i]) for i in node.inputs)


def _turn(graph: Graph, node: Node) -> None:
    window = node.window
    assert window is not None
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    node.window = Window((kw, kh), (sw, sh), (dw, dh), window.same)
    if node.op in ("conv_2d", "depthwise_conv_2d"):
        weights = graph.tensors[node.inputs[1]]
        first, height, width, last = weights.shape
        data = None if weights.data is None else np.reshape(weights.data, (first, width, height, last))
        graph.tensors[node.inputs[1]] = replace(weights, shape=(first, width, height, last), data=data)
