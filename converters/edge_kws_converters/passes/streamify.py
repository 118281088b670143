"""Whole-window program -> streaming program: each step computes only its new rows, and the outputs are those of whole windows.

Rows of a tensor lie `spacing` hops apart in the exported model. An output is wanted every `stride` hops, so of all windows together rows
are needed on a grid of gcd(stride, spacing) hops: convolution strides and dilations are rewritten for that grid. Where the stride is a
multiple of the model's time stride nothing changes; else the layers after a time stride run on all of its phases at once.
"""

from math import gcd

from edge_kws.errors import ConversionError
from edge_kws_converters.passes.running_sum import use_running_sums
from edge_kws_converters.program import Edge, Layer, Program


def streamify(program: Program, stride: int) -> Program:
    """Rewrites a freshly lowered program in place and returns it.

    Args:
        program: whole-window program.
        stride: hops (input rows) between outputs, at least 1.

    Raises:
        ConversionError: names the first layer that cannot be streamed exactly, and why.
    """
    if stride < 1:
        raise ConversionError(f"{program.name}: streaming: expected at least 1 hop between outputs, found {stride}; give the pack's stride")
    if program.stride:
        raise ConversionError(f"{program.name}: expected a whole-window model, found one that keeps its own state; convert it as it is")
    if program.output.rows != 1:
        raise ConversionError(
            f"{program.name}: streaming: expected one output row a window, found {program.output.rows}; reduce time first"
        )
    for layer in program.layers:
        _rewrite(layer, stride)
    program.stride = stride
    use_running_sums(program)
    return program


def _rewrite(layer: Layer, stride: int) -> None:
    if layer.kind == "input":
        if layer.shape:
            raise _refusal(layer, "time is not on axis 1 of the input (TRANSPOSE)")
        layer.out.spacing = 1
        return
    taps = layer.accumulate or None
    for edge in layer.edges:
        ring = edge.ring
        before, after = _padding_read(layer, edge)
        if before > 0 or after > 0:
            raise _refusal(layer, f"it pads time (SAME or PAD: {max(before, 0)} rows before, {max(after, 0)} after)")
        if edge.stride == 0:
            raise _refusal(layer, "it spreads one value over all of the window's time (squeeze and excite)")
        if taps:
            edge.taps = taps
        own = ring.spacing * edge.stride if layer.out.rows > 1 else 0
        if edge is not layer.edges[0] and own != layer.out.spacing:
            raise _refusal(layer, f"its inputs differ in time stride ({own} and {layer.out.spacing} hops)")
        layer.out.spacing = own
    layer.accumulate = layer.scratch = 0
    out_grid = gcd(stride, layer.out.spacing)
    for edge in layer.edges:
        _regrid(edge, gcd(stride, edge.ring.spacing), out_grid)


def _padding_read(layer: Layer, edge: Edge) -> tuple[int, int]:
    """Padding rows before and after the tensor that a layer reads; below 0 where it stays inside."""
    last = edge.begin + ((layer.accumulate or layer.out.rows) - 1) * edge.stride + edge.span
    return edge.ring.pad_before - edge.begin, last - edge.ring.pad_before - edge.ring.rows


def _regrid(edge: Edge, grid: int, out_grid: int) -> None:
    """The same taps on a ring whose rows lie `grid` hops apart."""
    factor = edge.ring.spacing // grid
    edge.dilation *= factor
    edge.begin *= factor
    edge.stride = out_grid // grid


def _refusal(layer: Layer, reason: str) -> ConversionError:
    return ConversionError(f"{layer.name}: cannot be streamed exactly, because {reason}; convert the whole window instead (--stride 0)")
