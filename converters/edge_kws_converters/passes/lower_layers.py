"""Operators that compute: convolutions, pools, elementwise functions, softmax."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters import arithmetic
from edge_kws_converters.arithmetic import quantize_multiplier
from edge_kws_converters.graph import Graph, Node
from edge_kws_converters.passes.lower import Lower, Lowering, View, output_size, padding_of
from edge_kws_converters.passes.lower_elementwise import ELEMENTWISE, elementwise
from edge_kws_converters.passes.lower_pools import average_pool, max_pool, mean
from edge_kws_converters.passes.tables import TABLES, table_of
from edge_kws_converters.program import SHIFT_ANY, SHIFT_ONCE, Call, Channels, ConvShape, Edge, Layer


def _channels(graph: Graph, node: Node, view: View, weights: NDArray[np.int8], axis: int) -> Channels:
    """Requantisation of each output channel."""
    n = weights.shape[axis]
    kernel = graph.quantization(node, node.inputs[1])
    out = graph.quantization(node, node.outputs[0])
    if kernel.zero_points.any():
        raise graph.refuse(node, "weights with zero point 0", f"{int(kernel.zero_points[0])}", "quantise weights symmetrically")
    if len(kernel.scales) > 1 and (len(kernel.scales) != n or kernel.axis % weights.ndim != axis):
        raise graph.refuse(node, f"1 or {n} weight scales on axis {axis}", f"{len(kernel.scales)} on axis {kernel.axis}")
    bias = np.zeros(n, np.int32)
    if len(node.inputs) > 2 and node.inputs[2] >= 0:
        values = graph.constant(node, 2)
        if values.dtype != np.int32 or values.size != n:
            raise graph.refuse(node, f"an int32 bias of {n}", f"{values.dtype} {values.shape}", "quantise to full int8")
        bias = values.reshape(n)
    reals = [float(view.quantization.scale) * float(s) / float(out.scale) for s in np.broadcast_to(kernel.scales, (n,))]
    factors = [quantize_multiplier(real) for real in reals]
    return Channels(bias, np.array([f.mantissa for f in factors], np.int32), np.array([f.shift for f in factors], np.int8))


def _weights(graph: Graph, node: Node, ndim: int) -> NDArray[np.int8]:
    graph.quantized(node, node.inputs[1] if len(node.inputs) > 1 else -1)
    weights = graph.constant(node, 1)
    if weights.ndim != ndim or not weights.size:
        raise graph.refuse(node, f"weights of {ndim} dimensions", f"{weights.shape}")
    return weights


def _convolution(lowering: Lowering, node: Node, *, depthwise: bool) -> None:
    graph, window = lowering.graph, node.window
    assert window is not None
    if len(node.inputs) < 2:
        raise graph.refuse(node, "input and weights", f"{len(node.inputs)} inputs")
    weights = _weights(graph, node, 4)
    view = lowering.view(node, node.inputs[0])
    top, bottom, left, right = window.pads
    if depthwise:
        (_, kh, kw, n), fits = weights.shape, weights.shape[3] % view.channels == 0 and weights.shape[0] == 1
    else:
        (n, kh, kw, _), fits = weights.shape, weights.shape[3] == view.channels
    if not fits:
        raise graph.refuse(node, f"weights for {view.channels} channels", f"{weights.shape}", "grouped convolutions are not supported")
    (sh, sw), (dh, dw) = window.stride, window.dilation
    high, wide = view.rows + top + bottom, view.width + left + right
    rows, width = output_size(high, kh, sh, dh, window.same), output_size(wide, kw, sw, dw, window.same)
    if rows < 1 or width < 1:
        raise graph.refuse(node, f"an input of at least {(kh - 1) * dh + 1} x {(kw - 1) * dw + 1}", f"{high} x {wide}")
    pad_top = padding_of(high, rows, kh, sh, dh, window.same) + top
    if pad_top or (rows - 1) * sh + (kh - 1) * dh + 1 > view.rows + pad_top:
        view = lowering.padded(node, view, view.quantization.zero_point)
    pad_left = padding_of(wide, width, kw, sw, dw, window.same) + left
    channels = _channels(graph, node, view, weights, 3 if depthwise else 0)
    multiplies = n // view.channels if depthwise else 0
    shape = _shape(graph, node, view, (width, n), (kh, kw), (sw, dw, pad_left), multiplies, SHIFT_ANY)
    edge = lowering.edge(node, view, rows, kh, dh, sh, pad_top)
    kind = "depthwise" if depthwise else "conv"
    values = weights[0] if depthwise else weights
    if depthwise and view.channels == 1:  # all outputs read the one channel: an ordinary convolution
        kind, values, shape = "conv", np.ascontiguousarray(values.transpose(2, 0, 1)[..., None]), replace(shape, multiplies=0)
    lowering.add(node, Layer(graph.where(node), kind, [edge], lowering.ring(node, rows, width, n), shape, values, channels))


def _shape(
    graph: Graph,
    node: Node,
    view: View,
    out: tuple[int, int],
    kernel: tuple[int, int],
    steps: tuple[int, int, int],
    multiplies: int,
    shifts: int,
) -> ConvShape:
    quantization = graph.quantization(node, node.outputs[0])
    low, high = quantization.clamp(node.activation)
    (width, n), (kh, kw), (sw, dw, left) = out, kernel, steps
    zeros = view.quantization.zero_point, quantization.zero_point
    return ConvShape(view.width, view.channels, width, n, kh, kw, sw, dw, left, *zeros, low, high, multiplies, shifts)


def _conv(lowering: Lowering, node: Node) -> None:
    _convolution(lowering, node, depthwise=False)


def _depthwise(lowering: Lowering, node: Node) -> None:
    _convolution(lowering, node, depthwise=True)


def _dense(lowering: Lowering, node: Node) -> None:
    """FULLY_CONNECTED over a flattened tensor is a convolution with a kernel as large as the tensor."""
    graph = lowering.graph
    weights = _weights(graph, node, 2)
    view = lowering.view(node, node.inputs[0], flat=True)
    n, inner = weights.shape
    if view.rows * view.width * view.channels != inner or graph.tensors[node.outputs[0]].elements != n:
        step = "flatten before it"
        raise graph.refuse(node, f"{inner} inputs and {n} outputs", f"{view.rows} x {view.width} x {view.channels}", step)
    shaped = weights.reshape(n, view.rows, view.width, view.channels)
    channels = _channels(graph, node, view, shaped, 0)
    shape = _shape(graph, node, view, (1, n), (view.rows, view.width), (1, 1, 0), 0, SHIFT_ONCE)
    edge = lowering.edge(node, view, 1, view.rows, 1, view.ring.rows if lowering.has_history else 1)
    lowering.add(node, Layer(graph.where(node), "conv", [edge], lowering.ring(node, 1, 1, n), shape, shaped, channels))


def _table(lowering: Lowering, node: Node) -> None:
    graph = lowering.graph
    view = lowering.view(node, node.inputs[0])
    table = table_of(graph, node, view.quantization)
    out = lowering.ring(node, view.rows, view.width, view.channels)
    edge = lowering.edge(node, view, view.rows)
    call = Call("elementwise_s8.h", "ekws_table_s8", literals=(out.row_bytes,), in_place=True)
    lowering.add(node, Layer(graph.where(node), "table", [edge], out, call=call, constants={"table": table}))


def _softmax(lowering: Lowering, node: Node) -> None:
    graph = lowering.graph
    view = lowering.view(node, node.inputs[0])
    result = graph.quantization(node, node.outputs[0])
    if (float(result.scale), result.zero_point) != (1 / 256, -128):
        raise graph.refuse(node, "output scale 1/256, zero point -128", f"{result.scale}, {result.zero_point}", "quantise again")
    last = graph.tensors[node.inputs[0]].shape[-1]
    channels = view.channels if view.channels == last else view.width * view.channels
    if channels != last or not 0 < last <= 4095:
        raise graph.refuse(node, "classes on the last axis, at most 4095", f"{graph.tensors[node.inputs[0]].shape}")
    out = lowering.ring(node, view.rows, view.width, view.channels)
    table = arithmetic.softmax_table(float(view.quantization.scale), node.options["beta"])
    call = Call("softmax_s8.h", "ekws_softmax_s8", literals=(table.size, out.row_bytes // channels, channels), in_place=True)
    edges = [lowering.edge(node, view, view.rows)]
    lowering.add(node, Layer(graph.where(node), "softmax", edges, out, call=call, constants={"exps": table}))


def _concatenation(lowering: Lowering, node: Node) -> None:
    graph = lowering.graph
    tensor = graph.quantized(node, node.outputs[0])
    axis = node.options["axis"] % max(1, len(tensor.shape))
    rows, width, channels = tensor.rows
    result = graph.quantization(node, node.outputs[0])
    edges: list[Edge] = []
    parts: list[tuple[int, ...]] = []
    at = 0
    for source in node.inputs:
        view = lowering.view(node, source)
        if (view.quantization.scale, view.quantization.zero_point) != (result.scale, result.zero_point):
            raise graph.refuse(node, "inputs quantised as the output", f"{graph.tensors[source].name} is not", "quantise again")
        if axis == 0 or (axis == 1 and len(tensor.shape) > 2) or view.rows != rows:
            raise graph.refuse(node, "inputs joined along width or channels", f"axis {axis} of {tensor.shape}")
        edges.append(lowering.edge(node, view, rows))
        if view.width == width and channels != view.channels:
            parts.append((0, view.channels, width, view.channels, at, channels))
            at += view.channels
        else:
            size = view.width * view.channels
            parts.append((0, 0, 1, size, at, 0))
            at += size
    lowering.add(node, Layer(graph.where(node), "copy", edges, lowering.ring(node, rows, width, channels), parts=parts))


LAYERS: dict[str, Lower] = {
    "average_pool_2d": average_pool,
    "concatenation": _concatenation,
    "conv_2d": _conv,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _dense,
    "max_pool_2d": max_pool,
    "mean": mean,
    "softmax": _softmax,
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(TABLES, _table),
}
