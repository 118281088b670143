"""Operators that move no data: the same rows under another shape, cut, padded or joined with their past."""

from dataclasses import replace

from edge_kws_converters.graph import Node
from edge_kws_converters.passes.fuse import padding
from edge_kws_converters.passes.lower import Lower, Lowering, View
from edge_kws_converters.program import Edge, Layer


def _reshape(lowering: Lowering, node: Node) -> None:
    view = lowering.view(node, node.inputs[0], flat=True)
    tensor = lowering.graph.quantized(node, node.outputs[0])
    assert tensor.quantization is not None
    rows, width, channels = tensor.rows
    if rows * width * channels != view.rows * view.width * view.channels:
        raise lowering.graph.refuse(node, f"{view.rows * view.width * view.channels} elements", f"{tensor.shape}")
    if view.flat or rows != view.rows:
        if rows != 1:
            raise lowering.graph.refuse(node, "a RESHAPE that keeps time on axis 1 or flattens all", f"{view.rows} rows -> {tensor.shape}")
        lowering.views[tensor.index] = replace(view, quantization=tensor.quantization, flat=True)
        return
    lowering.views[tensor.index] = replace(view, width=width, channels=channels, quantization=tensor.quantization)


def _history(lowering: Lowering, node: Node) -> None:
    view = lowering.view(node, node.inputs[0])
    rows = node.options["rows"]
    if view.begin or view.rows != view.ring.rows:
        raise lowering.graph.refuse(node, "history of whole rows", "history of a slice")
    lowering.start_from(node, view.ring, node.options["value"])
    lowering.views[node.outputs[0]] = replace(view, rows=rows + view.rows, begin=-rows)


def _pad(lowering: Lowering, node: Node) -> None:
    """Padding that no convolution takes: rows of the ring and copies of what lies between."""
    view = lowering.view(node, node.inputs[0])
    top, bottom, left, right = padding(lowering.graph, node)
    rows, width = view.rows + top + bottom, view.width + left + right
    zero = view.quantization.zero_point
    if top or bottom:
        view = lowering.padded(node, view, zero)
    part = (0, 0, 1, view.width * view.channels, left * view.channels, 0)
    out, edge = lowering.ring(node, rows, width, view.channels), lowering.edge(node, view, rows, top=top)
    lowering.add(node, Layer(lowering.graph.where(node), "copy", [edge], out, parts=[part], shape=zero))


def _bounds(lowering: Lowering, node: Node, size: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and one past the last element on each axis of a slice with unit strides."""
    graph = lowering.graph
    begin = [int(x) for x in graph.constant(node, 1).reshape(-1)]
    second = [int(x) for x in graph.constant(node, 2).reshape(-1)]
    if len(begin) != len(size) or len(second) != len(size):
        raise graph.refuse(node, f"bounds for {len(size)} axes", f"{len(begin)}")
    if node.op == "slice":
        return [(b, n if e < 0 else b + e) for b, e, n in zip(begin, second, size, strict=True)]
    options = node.options
    if (
        any(options[mask] for mask in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset"))
        or (graph.constant(node, 3) != 1).any()
    ):
        raise graph.refuse(node, "a plain slice of unit strides", f"{options}, strides {graph.constant(node, 3).tolist()}")
    bounds: list[tuple[int, int]] = []
    for axis, n in enumerate(size):
        first = 0 if options["begin_mask"] >> axis & 1 else begin[axis] + (n if begin[axis] < 0 else 0)
        last = n if options["end_mask"] >> axis & 1 else second[axis] + (n if second[axis] < 0 else 0)
        bounds.append((min(max(first, 0), n), min(max(last, 0), n)))
    return bounds


def _slice(lowering: Lowering, node: Node) -> None:
    view = lowering.view(node, node.inputs[0])
    source = lowering.graph.quantized(node, node.inputs[0])
    bounds = _bounds(lowering, node, source.shape)
    while len(bounds) < 4:
        bounds.append((0, 1))
    _cut(lowering, node, view, node.outputs[0], bounds[1:])


def _cut(lowering: Lowering, node: Node, view: View, output: int, bounds: list[tuple[int, int]]) -> None:
    """A slice in time is a view; one of width or channels is copied."""
    (r0, r1), (w0, w1), (c0, c1) = bounds
    if not (0 <= r0 < r1 <= view.rows and 0 <= w0 < w1 <= view.width and 0 <= c0 < c1 <= view.channels):
        raise lowering.graph.refuse(node, f"a slice of {(view.rows, view.width, view.channels)}", f"{bounds}")
    view = replace(view, rows=r1 - r0, begin=view.begin + r0)
    if (w1 - w0, c1 - c0) != (view.width, view.channels):
        width, channels = w1 - w0, c1 - c0
        # History rows of a channel slice are channel slices of the history: the copy sees only new rows, its readers see their past.
        fresh = view.ring.rows if lowering.has_history else view.rows
        out = lowering.ring(node, fresh, width, channels)
        begin = 0 if lowering.has_history else view.begin
        edge = Edge(view.ring, begin=begin)
        part = ((w0 * view.channels + c0), view.channels, width, channels, 0, channels)
        lowering.layers.append(Layer(lowering.graph.where(node), "copy", [edge], out, parts=[part]))
        if lowering.has_history:
            lowering.start_from(node, out, lowering.pads.get(id(view.ring), 0))
        begin = view.begin if lowering.has_history else 0
        view = View(out, view.rows, width, channels, view.quantization, begin)
    lowering.views[output] = view


def _split(lowering: Lowering, node: Node) -> None:
    graph = lowering.graph
    source, axis_input = (0, 2) if node.op == "split_v" else (1, 0)
    tensor = graph.quantized(node, node.inputs[source])
    view = lowering.view(node, node.inputs[source])
    axis = int(graph.constant(node, axis_input).reshape(-1)[0]) % len(tensor.shape)
    start = 0
    for output in node.outputs:
        part = graph.tensors[output]
        size = part.shape[axis] if len(part.shape) > axis else 0
        bounds = [(0, n) for n in tensor.shape]
        bounds[axis] = (start, start + size)
        start += size
        while len(bounds) < 4:
            bounds.append((0, 1))
        _cut(lowering, node, view, output, bounds[1:])


VIEWS: dict[str, Lower] = {
    "reshape": _reshape,
    "expand_dims": _reshape,
    "squeeze": _reshape,
    "history": _history,
    "pad": _pad,
    "strided_slice": _slice,
    "slice": _slice,
    "split": _split,
    "split_v": _split,
}
