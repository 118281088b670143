"""Row program -> row program for a core: layers without weights get the fast variant of their kernel, where the core has one."""

from dataclasses import replace

from edge_kws_converters.kernels import choose_plain
from edge_kws_converters.program import Call, Program

SUM_ROW = Call("pool_s8.h", "ekws_sum_row_s8")
"""What an average that is summed row by row calls for a row."""


def use_fast_calls(program: Program, core: str) -> None:
    """Sets the calls of layers, in place; `core` is a key of kernels.CORES."""
    for layer in program.layers:
        call = SUM_ROW if layer.kind == "average_pool" and layer.accumulate else layer.call
        kernel = choose_plain(call.function, layer.shape, core) if call is not None else None
        if call is not None and kernel is not None:
            layer.call = replace(call, header=kernel.header, function=kernel.function)
