"""Graph -> row program: each operator becomes a layer that makes rows, or only another view of rows that exist."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor
from edge_kws_converters.passes.fold_zero_point import fold_zero_points
from edge_kws_converters.passes.fuse import fuse
from edge_kws_converters.passes.running_sum import use_running_sums
from edge_kws_converters.program import Edge, Layer, Program, Ring

_MAX_ROWS, _MAX_ROW_BYTES = 10_000, 65_536


@dataclass(frozen=True, slots=True)
class View:
    """A tensor as rows `begin` .. `begin + rows - 1` of a ring, each of (width, channels).

    `flat`: the exported tensor has lost its rows.
    """

    ring: Ring
    rows: int
    width: int
    channels: int
    quantization: Quantization
    begin: int = 0
    flat: bool = False


class Lowering:
    """The state of one lowering: layers so far, and where each tensor is."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[Layer] = []
        self.views: dict[int, View] = {}
        self.pads: dict[int, int] = {}
        self.has_history = any(node.op == "history" for node in graph.nodes)

    def view(self, node: Node, tensor: int, *, flat: bool = False) -> View:
        """Where an input of a node is. `flat`: the node takes all rows as one."""
        if tensor not in self.views:
            found = self.graph.tensors[tensor].name if tensor >= 0 else "none"
            raise self.graph.refuse(node, "an input computed from the model's input", found)
        view = self.views[tensor]
        if view.flat and not flat:
            raise self.graph.refuse(node, "rows of the same time", "a RESHAPE that mixes them", "keep time on axis 1")
        return view

    def edge(self, node: Node, view: View, out_rows: int, taps: int = 1, dilation: int = 1, stride: int = 1, top: int = 0) -> Edge:
        """The rows of a view that a node reads for `out_rows` output rows, `top` padding rows above the view's own first."""
        if self.has_history and stride * out_rows != view.ring.rows:
            raise self.graph.refuse(node, f"{view.ring.rows} new rows consumed each step", f"{stride * out_rows}")
        return Edge(view.ring, taps, dilation, stride, view.begin - top)

    def start_from(self, node: Node, ring: Ring, value: int) -> None:
        """Rows before the first of a stream have this value."""
        if self.pads.setdefault(id(ring), value) != value:
            raise self.graph.refuse(node, f"history of {self.pads[id(ring)]}, as another reader of this tensor", f"{value}")
        ring.pad_value = value

    def padded(self, node: Node, view: View, value: int) -> View:
        """The view with rows of `value` before and after it: where its ring is more than the view, or padded otherwise, a copy."""
        if self.has_history:
            raise self.graph.refuse(node, "no padding in time in a model that keeps its own state", "some", "use VALID")
        ring = view.ring
        if view.begin or view.rows != ring.rows or self.pads.setdefault(id(ring), value) != value:
            ring = Ring(f"{ring.name} copied", view.rows, ring.width, ring.channels)
            self.layers.append(
                Layer(
                    f"copy for {self.graph.where(node)}",
                    "copy",
                    [Edge(view.ring, begin=view.begin)],
                    ring,
                    parts=[(0, 0, 1, ring.row_bytes, 0, 0)],
                )
            )
            self.pads[id(ring)] = value
        ring.pad_value = value
        return replace(view, ring=ring, begin=0)

    def add(self, node: Node, layer: Layer) -> None:
        """Appends a layer and makes its ring the view of the node's output."""
        if layer.out.rows > _MAX_ROWS or layer.out.row_bytes > _MAX_ROW_BYTES:
            limit = f"at most {_MAX_ROWS} rows of {_MAX_ROW_BYTES} bytes"
            raise self.graph.refuse(node, limit, f"{layer.out.rows} of {layer.out.row_bytes}", "use a smaller window")
        self.layers.append(layer)
        self.see(node, node.outputs[0], layer.out)

    def see(self, node: Node, tensor: int, ring: Ring) -> None:
        """Makes a ring the view of a tensor."""
        found = self.graph.quantized(node, tensor)
        assert found.quantization is not None
        rows, width, channels = found.rows
        if rows != ring.rows or width * channels != ring.row_bytes:
            raise self.graph.refuse(node, f"an output of {(ring.rows, ring.width, ring.channels)}", f"{found.shape}", "export it again")
        self.views[tensor] = View(ring, rows, width, channels, found.quantization)

    def ring(self, node: Node, rows: int, width: int, channels: int) -> Ring:
        """A new ring, named as the node's output."""
        return Ring(self.graph.tensors[node.outputs[0]].name, rows, width, channels)


Lower = Callable[[Lowering, Node], None]


def lower(graph: Graph) -> Program:
    """The row program of a cleaned graph, whole window; of a graph with history rows, its streaming form.

    Raises:
        ConversionError: an operator or shape that no kernel computes, named with index and tensor.
    """
    from edge_kws_converters.passes.lower_layers import LAYERS
    from edge_kws_converters.passes.lower_views import VIEWS

    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ConversionError(
            f"{graph.name}: expected 1 input and 1 output, found {len(graph.inputs)} and {len(graph.outputs)}; export it so"
        )
    fuse(graph)
    lowering = Lowering(graph)
    entry = _input(lowering, graph)
    for node in graph.nodes:
        (LAYERS | VIEWS)[node.op](lowering, node) if node.op in LAYERS or node.op in VIEWS else _unknown(graph, node)
    view = lowering.views.get(graph.outputs[0])
    if view is None:
        raise ConversionError(f"{graph.name}: expected an output computed from the input, found none; export the model again")
    if view.begin or view.ring is entry:
        raise ConversionError(f"{graph.name}: expected an output computed by a layer, found a slice; export the model again")
    program = Program(graph.name, lowering.layers, entry, view.ring, entry.rows if lowering.has_history else 0)
    program.has_state = lowering.has_history
    _place_padding(program)
    fold_zero_points(program)
    if program.stride:
        use_running_sums(program)
    return program


def padding_of(size: int, out: int, kernel: int, stride: int, dilation: int, same: bool) -> int:
    """Padding before the first element."""
    return max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) // 2 if same else 0


def output_size(size: int, kernel: int, stride: int, dilation: int, same: bool) -> int:
    """Elements a window makes of `size` (padding included where it is explicit)."""
    return -(-size // stride) if same else (size - (kernel - 1) * dilation - 1) // stride + 1


def _unknown(graph: Graph, node: Node) -> None:
    raise graph.refuse(node, "an operator with a kernel", "one that is only read", "export the model without it")


def _input(lowering: Lowering, graph: Graph) -> Ring:
    """The input's ring. A reshape of the input only changes what its rows are."""
    tensor: Tensor = graph.tensors[graph.inputs[0]]
    users = [node for node in graph.nodes if tensor.index in node.inputs]
    while (
        len(users) == 1
        and users[0].op in ("reshape", "expand_dims", "squeeze")
        and graph.tensors[users[0].outputs[0]].elements == tensor.elements
    ):
        tensor = graph.tensors[users[0].outputs[0]]
        graph.nodes.remove(users[0])
        users = [node for node in graph.nodes if tensor.index in node.inputs]
    transposed = len(users) == 1 and users[0].op == "transpose" and _swaps_rows(graph, users[0])
    if transposed:
        tensor = graph.tensors[users[0].outputs[0]]
        graph.nodes.remove(users[0])
    if tensor.dtype != "int8" or tensor.quantization is None or not tensor.elements:
        raise ConversionError(
            f"{graph.name}: input {tensor.name}: expected int8, found {tensor.dtype} {tensor.shape}; quantise to full int8"
        )
    rows, width, channels = tensor.rows
    if rows > _MAX_ROWS or width * channels > _MAX_ROW_BYTES:
        raise ConversionError(f"{graph.name}: input: expected at most {_MAX_ROWS} rows of {_MAX_ROW_BYTES} bytes, found {tensor.shape}")
    ring = Ring(tensor.name, rows, width, channels)
    lowering.layers.append(Layer("input", "input", [], ring, shape=transposed))
    lowering.views[tensor.index] = View(ring, rows, width, channels, tensor.quantization)
    return ring


def _swaps_rows(graph: Graph, node: Node) -> bool:
    """Whether a TRANSPOSE exchanges rows and width."""
    order = graph.constant(node, 1).reshape(-1).tolist()
    return order in ([0, 2, 1], [0, 2, 1, 3])


def _place_padding(program: Program) -> None:
    """Each ring gets the padding rows that its readers ask for; edges then count from the first of them."""
    for ring in program.rings:
        edges = [(layer, edge) for layer in program.layers for edge in layer.edges if edge.ring is ring]
        ring.pad_before = max([0, *(-edge.begin for _, edge in edges)])
        for layer, edge in edges:
            fires = layer.accumulate or layer.out.rows
            last = (fires - 1) * edge.stride + edge.begin + edge.span
            ring.pad_after = max(ring.pad_after, last - ring.rows) if not program.stride else 0
            edge.begin += ring.pad_before


def flattened(view: View) -> View:
    """The view as one row that holds all."""
    return replace(view, flat=view.rows > 1)
