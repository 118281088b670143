"""Graph -> graph: all passes that leave a graph which a TFLite file could still hold."""

from edge_kws_converters.graph import Graph, Node
from edge_kws_converters.passes.find_history import find_history
from edge_kws_converters.passes.fold_constants import fold_constants
from edge_kws_converters.passes.strip_edges import strip_edges
from edge_kws_converters.passes.upright import upright


def clean(graph: Graph) -> Graph:
    """The graph between its int8 edges, changed in place and returned."""
    fold_constants(graph)
    strip_edges(graph)
    find_history(graph)
    _drop_unused(graph)
    return upright(graph)


def _drop_unused(graph: Graph) -> None:
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    graph.nodes = kept[::-1]
