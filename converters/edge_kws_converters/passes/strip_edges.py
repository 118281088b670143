"""Graph -> graph: QUANTIZE and DEQUANTIZE at the edges off; callers hand over and receive int8."""

from edge_kws_converters.graph import Graph

_FOREIGN = ("float32", "uint8")


def strip_edges(graph: Graph) -> None:
    """A float or uint8 model in int8 clothes loses them, in place."""
    for position, tensor in enumerate(graph.inputs):
        users = [node for node in graph.nodes if tensor in node.inputs]
        if len(users) == 1 and users[0].op == "quantize" and graph.tensors[tensor].dtype in _FOREIGN:
            graph.inputs[position] = users[0].outputs[0]
            graph.nodes.remove(users[0])
    for position, tensor in enumerate(graph.outputs):
        maker = next((node for node in graph.nodes if tensor in node.outputs), None)
        if maker is not None and maker.op in ("dequantize", "quantize") and graph.tensors[tensor].dtype in _FOREIGN:
            graph.outputs[position] = maker.inputs[0]
            graph.nodes.remove(maker)
