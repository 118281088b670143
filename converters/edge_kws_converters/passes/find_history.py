"""Graph -> graph: state kept in resource variables becomes history rows, the form in which streams are lowered."""

from edge_kws_converters.graph import Graph, Node


def find_history(graph: Graph) -> None:
    """READ_VARIABLE, CONCATENATION over time, and ASSIGN_VARIABLE of the newest rows: the stream itself, with rows before its start."""
    handles = {node.outputs[0]: node.options["name"] for node in graph.nodes if node.op == "var_handle" and node.outputs}
    reads = {node.outputs[0]: node for node in graph.nodes if node.op == "read_variable" and node.outputs}
    assigned: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "assign_variable":
            if len(node.inputs) != 2 or node.inputs[0] not in handles:
                raise graph.refuse(node, "a variable of this graph", "another")
            assigned[handles[node.inputs[0]]] = node.inputs[1]
    makers = {output: node for node in graph.nodes for output in node.outputs}
    for node in graph.nodes:
        if node.op != "concatenation" or len(node.inputs) != 2 or node.inputs[0] not in reads:
            continue
        read = reads[node.inputs[0]]
        name = handles.get(read.inputs[0]) if read.inputs else None
        initial = graph.variables.get(name or "")
        newest = makers.get(assigned.get(name or "", -1))
        rows = graph.tensors[node.inputs[0]].rows[0]
        total = graph.tensors[node.outputs[0]].rows[0]
        if initial is None or newest is None or node.options["axis"] not in (1, 1 - len(graph.tensors[node.outputs[0]].shape)):
            raise graph.refuse(node, "a variable with an initial value, joined with new rows over time", f"variable {name}")
        if (
            newest.op != "strided_slice"
            or not newest.inputs
            or newest.inputs[0] != node.outputs[0]
            or not _keeps_newest(graph, newest, total - rows)
        ):
            raise graph.refuse(node, "the newest rows assigned to the variable", graph.where(newest))
        if initial.size and initial.min() != initial.max():
            raise graph.refuse(node, "a variable that starts from one value", f"{initial.min()}..{initial.max()}")
        node.op, node.inputs = "history", node.inputs[1:]
        node.options = {"rows": rows, "value": int(initial.flat[0]) if initial.size else 0}
    states = ("var_handle", "read_variable", "assign_variable")
    graph.nodes = [node for node in graph.nodes if node.op not in states]


def _keeps_newest(graph: Graph, node: Node, begin: int) -> bool:
    starts, strides = graph.constant(node, 1), graph.constant(node, 3)
    rows = graph.tensors[node.outputs[0]].rows[0]
    total = graph.tensors[node.inputs[0]].rows[0]
    return len(starts) > 1 and int(starts[1]) % total == begin and (strides == 1).all() and rows == total - begin
