"""Streaming program -> streaming program: a mean over much of the past keeps its sum, adds what is new and takes off what leaves."""

from math import gcd
from typing import Final

from edge_kws_converters.program import Program, Sliding

_WORTH_IT: Final = 4
"""Times as many rows as a running sum touches; below that the sums in RAM and their loads cost what they save."""


def use_running_sums(program: Program) -> None:
    """Marks the averages of a streaming program for which that is cheaper, in place. Sums are int32 and exact.

    Windows that slide by a part of their dilation take turns: `phases` sums, each of which goes on when its turn comes again.
    """
    for layer in program.layers:
        if layer.kind != "average_pool":
            continue
        edge = layer.edges[0]
        step = gcd(edge.stride, edge.dilation)
        sliding = Sliding(fresh=edge.stride // step, phases=edge.dilation // step)
        if edge.taps >= _WORTH_IT * 2 * sliding.fresh:
            layer.sliding = sliding
            layer.scratch = 4 * (1 + sliding.phases * layer.out.row_bytes)
