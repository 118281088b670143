"""Pools and means over rows and width."""

from edge_kws_converters.arithmetic import quantize_multiplier
from edge_kws_converters.graph import Node, Quantization
from edge_kws_converters.passes.lower import Lowering, View, output_size, padding_of
from edge_kws_converters.program import Call, Edge, Layer

NEAREST, DIVIDED = range(2)
"""The modes of pool_s8.h."""


def average_pool(lowering: Lowering, node: Node) -> None:
    """AVERAGE_POOL_2D."""
    _pool(lowering, node, "average_pool")


def max_pool(lowering: Lowering, node: Node) -> None:
    """MAX_POOL_2D."""
    _pool(lowering, node, "max_pool")


def _pool(lowering: Lowering, node: Node, kind: str) -> None:
    graph, window = lowering.graph, node.window
    assert window is not None
    (kh, kw), (sh, sw) = window.kernel, window.stride
    view = lowering.view(node, node.inputs[0])
    result = graph.quantization(node, node.outputs[0])
    if (view.quantization.scale, view.quantization.zero_point) != (result.scale, result.zero_point):
        raise graph.refuse(
            node, "an output quantised as the input", f"scales {view.quantization.scale} and {result.scale}", "quantise again"
        )
    rows, width = output_size(view.rows, kh, sh, 1, window.same), output_size(view.width, kw, sw, 1, window.same)
    if rows < 1 or width < 1 or 0 in (kh, kw):
        raise graph.refuse(node, f"an input of at least {kh} x {kw}", f"{view.rows} x {view.width}")
    top = padding_of(view.rows, rows, kh, sh, 1, window.same)
    if top > 0 or (rows - 1) * sh + kh > view.rows + top:
        # Neutral to a largest value; and to a sum, whose count leaves them out.
        view = lowering.padded(node, view, -128 if kind == "max_pool" else 0)
    low, high = result.clamp(node.activation)
    shape = _shape(view, (width, kh, kw, sw, padding_of(view.width, width, kw, sw, 1, window.same)), low, high)
    edge = lowering.edge(node, view, rows, kh, 1, sh, top)
    _add(lowering, node, kind, edge, (rows, width, view.channels), shape)


def _shape(view: View, geometry: tuple[int, int, int, int, int], low: int, high: int) -> dict[str, int]:
    width, kh, kw, sw, left = geometry
    names = ("in_width", "out_width", "channels", "kernel_height", "kernel_width", "stride_width", "pad_left")
    shape = dict(zip(names, (view.width, width, view.channels, kh, kw, sw, left), strict=True))
    zero = view.quantization.zero_point
    return shape | {"in_zero": zero, "out_zero": zero, "low": low, "high": high, "mode": NEAREST, "multiplier": 0, "shift": 0}


def _add(lowering: Lowering, node: Node, kind: str, edge: Edge, out: tuple[int, int, int], shape: dict[str, int]) -> None:
    """One output row of all rows and columns of a whole window is summed as they come."""
    call = Call("pool_s8.h", "ekws_max_pool_s8", "ekws_pool_shape_t", taps=True) if kind == "max_pool" else None
    layer = Layer(lowering.graph.where(node), kind, [edge], lowering.ring(node, *out), shape, call=call)
    whole = out[0] == 1 and out[1] == 1 and shape["kernel_width"] == shape["in_width"] and 1 < edge.taps <= edge.ring.rows - edge.begin
    if kind == "average_pool" and whole and not lowering.has_history:
        layer.accumulate, edge.taps, edge.stride = edge.taps, 1, 1
        layer.scratch = 4 * layer.out.channels
    lowering.add(node, layer)


def mean(lowering: Lowering, node: Node) -> None:
    """MEAN over rows, width or both."""
    graph = lowering.graph
    source = graph.quantized(node, node.inputs[0])
    result = graph.quantization(node, node.outputs[0])
    view = lowering.view(node, node.inputs[0])
    axes = sorted(int(a) % len(source.shape) for a in graph.constant(node, 1).reshape(-1))
    if not axes or any(axis not in (1, 2) for axis in axes) or len(source.shape) < 3 or (axes == [2] and len(source.shape) == 3):
        raise graph.refuse(node, "a mean over rows, width or both", f"axes {axes} of {source.shape}")
    kh, kw = view.rows if 1 in axes else 1, view.width if 2 in axes else 1
    rows, width = view.rows // kh, view.width // kw
    shape = _shape(view, (width, kh, kw, kw, 0), -128, 127)
    shape |= _rounding(view.quantization, result, kh * kw)
    stride = view.ring.rows if lowering.has_history and kh > 1 else kh if kh > 1 else 1
    edge = lowering.edge(node, view, rows, kh, 1, stride)
    if graph.tensors[node.outputs[0]].rows[0] != rows:
        raise graph.refuse(node, "a mean that keeps its axis", f"{graph.tensors[node.outputs[0]].shape}", "set keep_dims")
    _add(lowering, node, "average_pool", edge, (rows, width, view.channels), shape)


def _rounding(source: Quantization, result: Quantization, count: int) -> dict[str, int]:
    """The division by the count goes into the multiplier, which loses its normal form."""
    factor = quantize_multiplier(float(source.scale) / float(result.scale))
    bits = min(count.bit_length() - 1, 31 - factor.shift)
    multiplier = (factor.mantissa << bits) // count
    return {"mode": DIVIDED, "multiplier": multiplier, "shift": factor.shift + bits, "out_zero": result.zero_point}
