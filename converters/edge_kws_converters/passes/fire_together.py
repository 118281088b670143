"""Row program -> row program for a core: pointwise layers of width 1 make two or three rows at a time, as pixels of one.

A kernel that has loaded weights uses them for several pixels; rows of one pixel would load them anew for each. Such a layer waits until
`together` rows are there. What it makes then is complete whenever an output is due: rows that are no multiple of `together` are filled up
at the start, with rows that nobody reads.
"""

from dataclasses import replace
from itertools import pairwise

from edge_kws_converters.kernels import choose
from edge_kws_converters.passes.schedule import Schedule, schedule
from edge_kws_converters.program import ConvShape, Layer, Program, Ring


def fire_together(program: Program, core: str) -> None:
    """Rewrites a program, whole window or stream, in place; `core` is a key of kernels.CORES."""
    candidates = [layer for layer in program.layers if _most(program, layer, core) > 1]
    if not candidates:
        return
    plan = schedule(program)
    for layer in candidates:
        rows, junk = _choice(program, layer, _most(program, layer, core), plan)
        if rows > 1:
            _rewrite(program, layer, rows, junk)
    for layer in program.layers:
        makers = [other for other in program.layers if any(edge.ring is other.out for edge in layer.edges)]
        layer.catches_up = program.stride > 0 and any(maker.together > 1 or maker.catches_up for maker in makers)


def _most(program: Program, layer: Layer, core: str) -> int:
    """Rows that the layer's kernel can make at a time; 1 where the layer has to make them one by one."""
    shape = layer.shape
    if layer.kind != "conv" or not isinstance(shape, ConvShape) or layer.channels is None or layer.out is program.output:
        return 1
    pointwise = (shape.in_width, shape.out_width, shape.kernel_height, shape.kernel_width) == (1, 1, 1, 1)
    whole_words = shape.in_channels % 4 == 0 and shape.out_channels % 4 == 0
    edge = layer.edges[0]
    plain = (edge.stride, edge.begin) == (1, 0) and not any(_padded(ring) for ring in (edge.ring, layer.out))
    readers = [other for other in program.layers for e in other.edges if e.ring is edge.ring]
    maker = next(other for other in program.layers if other.out is edge.ring)
    if not (pointwise and whole_words and plain and len(readers) == 1) or maker.kind == "conv":
        return 1
    return choose(layer.kind, shape, layer.channels, core).together


def _padded(ring: Ring) -> bool:
    return ring.pad_before > 0 or ring.pad_after > 0


def _choice(program: Program, layer: Layer, most: int, plan: Schedule) -> tuple[int, int]:
    """How many rows at a time, and how many of the first ones to fill up: the choice that fills up least, of equal ones the largest."""
    made = [outputs[id(layer)] for outputs in plan.made] if program.stride else [layer.out.rows]
    steps = {later - earlier for earlier, later in pairwise(made)}
    fits = [rows for rows in range(most, 1, -1) if made[0] >= rows and all(step % rows == 0 for step in steps)]
    return min(((rows, -made[0] % rows) for rows in fits), key=lambda choice: choice[1], default=(1, 0))


def _rewrite(program: Program, layer: Layer, rows: int, junk: int) -> None:
    edge = layer.edges[0]
    layer.together, layer.junk = rows, junk
    layer.shape = replace(layer.shape, in_width=rows, out_width=rows)
    edge.together, edge.stride, edge.ring.pad_before = rows, rows, junk
    for other in program.layers:
        for e in other.edges:
            if e.ring is layer.out:
                e.begin += junk
