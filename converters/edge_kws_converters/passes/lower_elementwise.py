"""Operators on two operands, element by element: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from edge_kws_converters.arithmetic import Multiplier, add_factors, multiply_factor, quantize_multiplier
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor
from edge_kws_converters.passes.lower import Lowering
from edge_kws_converters.program import Call, Edge, Layer

_Three = tuple[Multiplier, Multiplier, Multiplier]
_Factors = Callable[[Graph, Node, Quantization, Quantization, Quantization], _Three]
_ONE: Final = Multiplier(0, 0)


@dataclass(frozen=True, slots=True)
class _Operator:
    """`factors`: what the kernel scales operands a and b and the result by; `turns`: whether operands may change places."""

    call: Call
    factors: _Factors
    turns: bool = True


def elementwise(lowering: Lowering, node: Node) -> None:
    """An operator of `ELEMENTWISE`: two computed operands, or one and a constant of one row."""
    graph, operator = lowering.graph, ELEMENTWISE[node.op]
    if len(node.inputs) != 2:
        raise graph.refuse(node, "two operands", f"{len(node.inputs)}")
    result = graph.quantized(node, node.outputs[0])
    rows, width, channels = result.rows
    edges: list[Edge] = []
    operands: list[tuple[tuple[int, int], Quantization]] = []
    constant: NDArray[Any] | None = None
    for position, tensor in enumerate(node.inputs):
        data = graph.tensors[tensor].data if tensor >= 0 else None
        if data is None:
            view = lowering.view(node, tensor)
            edges.append(lowering.edge(node, view, rows, stride=1 if view.rows == rows else 0))
            found = (view.rows, view.width, view.channels)
        else:
            found, constant = _aligned(graph, node, tensor, result), data
            if found[0] != 1 or (position == 0 and not operator.turns) or data.size > 65_536:
                raise graph.refuse(node, "a constant second operand of one row", f"{data.shape}")
        if found[0] not in (1, rows) or found[1] not in (1, width) or found[2] not in (1, channels):
            raise graph.refuse(node, f"operands that fit {(rows, width, channels)}", f"{found}")
        operands.append((found[1:], graph.quantization(node, tensor)))
    if not edges:
        raise graph.refuse(node, "an operand that is computed", "constants only")
    if constant is not None and graph.tensors[node.inputs[0]].data is not None:
        operands.reverse()
    shape = _shape(graph, node, (width, channels), operands)
    constants = {} if constant is None else {"operand": constant}
    out = lowering.ring(node, rows, width, channels)
    lowering.add(node, Layer(graph.where(node), node.op, edges, out, shape, call=operator.call, constants=constants))


def _aligned(graph: Graph, node: Node, tensor: int, result: Tensor) -> tuple[int, int, int]:
    """(rows, width, channels) of a constant, whose last axis is the last one of the result."""
    found = graph.quantized(node, tensor)
    missing = len(result.shape) - len(found.shape)
    return Tensor(found.index, found.name, (1,) * missing + found.shape, found.dtype).rows


def _shape(graph: Graph, node: Node, out: tuple[int, int], operands: list[tuple[tuple[int, int], Quantization]]) -> dict[str, int]:
    result = graph.quantization(node, node.outputs[0])
    (a_size, a), (b_size, b) = operands
    factors = ELEMENTWISE[node.op].factors(graph, node, a, b, result)
    names = ("width", "channels", "a_width", "a_channels", "b_width", "b_channels", "a_zero", "b_zero", "out_zero", "low", "high")
    values = (*out, *a_size, *b_size, a.zero_point, b.zero_point, result.zero_point, *result.clamp(node.activation))
    shape: dict[str, int] = dict(zip(names, values, strict=True))
    for prefix, factor in zip(("a_", "b_", ""), factors, strict=True):
        shape |= {f"{prefix}multiplier": factor.mantissa, f"{prefix}shift": factor.shift}
    return shape


def _sum(graph: Graph, node: Node, a: Quantization, b: Quantization, result: Quantization) -> _Three:
    factors = add_factors(a.scale, b.scale, result.scale)
    if any(factor.shift < 0 for factor in factors):
        raise graph.refuse(node, "an output scale not 2^20 times finer than its inputs", f"{result.scale}", "quantise again")
    return factors


def _product(graph: Graph, node: Node, a: Quantization, b: Quantization, result: Quantization) -> _Three:
    del graph, node
    return _ONE, _ONE, multiply_factor(a.scale, b.scale, result.scale)


def _prelu(graph: Graph, node: Node, a: Quantization, b: Quantization, result: Quantization) -> _Three:
    """Above the zero point the operand itself, below it times the second one."""
    del graph, node
    return quantize_multiplier(float(a.scale / result.scale)), multiply_factor(a.scale, b.scale, result.scale), _ONE


def _unscaled(graph: Graph, node: Node, a: Quantization, b: Quantization, result: Quantization) -> _Three:
    """LiteRT compares the bytes and scales nothing."""
    for other in (b, result):
        if (a.scale, a.zero_point) != (other.scale, other.zero_point):
            raise graph.refuse(node, "operands and output of one scale", f"{a.scale} and {other.scale}", "quantise again")
    return _ONE, _ONE, _ONE


def _call(function: str, *literals: int, header: str = "elementwise_s8.h") -> Call:
    return Call(header, function, "ekws_elementwise_shape_t", literals, in_place=True)


ELEMENTWISE: Final[dict[str, _Operator]] = {
    "add": _Operator(_call("ekws_add_s8", 1), _sum),
    "maximum": _Operator(_call("ekws_extremum_s8", 1, header="extremum_s8.h"), _unscaled),
    "minimum": _Operator(_call("ekws_extremum_s8", 0, header="extremum_s8.h"), _unscaled),
    "mul": _Operator(_call("ekws_mul_s8"), _product),
    "prelu": _Operator(_call("ekws_prelu_s8", header="prelu_s8.h"), _prelu, turns=False),
    "sub": _Operator(_call("ekws_add_s8", -1), _sum, turns=False),
}
"""Operator -> its kernel and what that needs."""
