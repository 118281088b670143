"""Graph -> graph: PAD goes into the convolutions that read it, an activation into the operator before it. What is left needs a layer."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.graph import Graph, Node, Window

_CONVOLUTIONS = ("conv_2d", "depthwise_conv_2d")
_WITH_ACTIVATION = (*_CONVOLUTIONS, "fully_connected", "add", "sub", "mul", "average_pool_2d", "max_pool_2d")


def fuse(graph: Graph) -> None:
    """Fuses in place, only where the result is the same to the bit. Raises ConversionError for a PAD that is none of rows and width."""
    for node in list(graph.nodes):
        if node.op == "pad":
            _fuse_pad(graph, node)
        elif node.op in ("relu", "relu6", "relu_n1_to_1") or (node.op == "quantize" and node.inputs):
            _fuse_activation(graph, node)


def padding(graph: Graph, node: Node) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a PAD node. Raises ConversionError for any other."""
    pads: NDArray[np.int32] = graph.constant(node, 1)
    source, result = graph.quantized(node, node.inputs[0]), graph.quantized(node, node.outputs[0])
    if pads.ndim != 2 or pads.shape[1] != 2 or len(pads) not in (3, 4) or pads.min() < 0 or pads[0].any():
        raise graph.refuse(node, "padding of rows and width, none of the batch", f"{pads.tolist()}")
    if len(pads) == 4 and pads[3].any():
        raise graph.refuse(node, "padding of rows and width", f"channels padded by {pads[3].tolist()}")
    (top, bottom), (left, right) = pads[1].tolist(), pads[2].tolist()
    rows, width, channels = source.rows
    if len(pads) != len(source.shape) or result.rows != (rows + top + bottom, width + left + right, channels):
        raise graph.refuse(node, "an output larger by its padding", f"{result.shape}")
    return top, bottom, left, right


def _fuse_pad(graph: Graph, node: Node) -> None:
    made = node.outputs[0]
    readers = [other for other in graph.nodes if made in other.inputs]
    plain = [r for r in readers if r.op in _CONVOLUTIONS and r.inputs.index(made) == 0 and r.inputs.count(made) == 1]
    if made in graph.outputs or plain != readers or not _same_quantization(graph, node):
        return
    pads = padding(graph, node)
    for reader in readers:
        assert reader.window is not None
        reader.window = _padded(reader.window, pads)
        reader.inputs[0] = node.inputs[0]
    graph.nodes.remove(node)


def _padded(window: Window, pads: tuple[int, int, int, int]) -> Window:
    top, bottom, left, right = (a + b for a, b in zip(window.pads, pads, strict=True))
    return replace(window, pads=(top, bottom, left, right))


def _fuse_activation(graph: Graph, node: Node) -> None:
    source = node.inputs[0]
    maker = next((other for other in graph.nodes if source in other.outputs), None)
    readers = [other for other in graph.nodes if source in other.inputs]
    if maker is None or maker.op not in _WITH_ACTIVATION or readers != [node] or source in graph.outputs:
        return
    if maker.activation != "none" or not _same_quantization(graph, node):
        return
    if node.op == "relu" or node.op == "relu6" or node.op == "relu_n1_to_1":
        maker.activation = node.op
    maker.outputs = node.outputs
    graph.nodes.remove(node)


def _same_quantization(graph: Graph, node: Node) -> bool:
    """Whether a node's output means what its input means."""
    a, b = graph.quantization(node, node.inputs[0]), graph.quantization(node, node.outputs[0])
    return (a.scale, a.zero_point) == (b.scale, b.zero_point)
