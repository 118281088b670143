"""Graph -> graph: nodes whose inputs are all constants are computed now, in the arithmetic of LiteRT's reference kernels.

Sources: tensorflow/lite/kernels/internal/reference/{quantize,dequantize,add,mul}.h, whose numbers define the result.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.arithmetic import ADD_BITS, add_factors, multiply_factor, scale
from edge_kws_converters.graph import Activation, Graph, Node, Quantization, Tensor
from edge_kws_converters.passes.tables import TABLES, table_of

_MOST_BYTES: Final = 1 << 26
"""What all folded constants of a model may hold together; a hostile file can name far more."""

_Array = NDArray[Any]
_Fold = Callable[[Graph, Node, list[_Array]], _Array]
_LIMITS: Final[dict[Activation, tuple[float, float]]] = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}


def fold_constants(graph: Graph) -> None:
    """Replaces such nodes by the constants they make, in place. Raises ConversionError where their shapes or types do not fit."""
    kept: list[Node] = []
    left = _MOST_BYTES
    for node in graph.nodes:
        data = [graph.tensors[i].data if i >= 0 else None for i in node.inputs]
        constants = [content for content in data if content is not None]
        if node.op not in _FOLDS or not constants or len(constants) < len(data) or len(node.outputs) != 1:
            kept.append(node)
            continue
        result = graph.tensors[node.outputs[0]]
        left -= 4 * result.elements
        if left < 0:
            raise graph.refuse(node, f"constants of at most {_MOST_BYTES} bytes", f"{result.shape} and others before it", "fold them first")
        graph.tensors[result.index] = replace(result, data=_folded(graph, node, constants, result))
    graph.nodes = kept


def _folded(graph: Graph, node: Node, constants: list[_Array], result: Tensor) -> _Array:
    try:
        made = _FOLDS[node.op](graph, node, constants)
    except (ValueError, IndexError, TypeError) as error:  # numpy's words for operands that do not fit each other
        raise graph.refuse(node, "constants that fit each other", f"{[c.shape for c in constants]} ({error})", "export it again") from None
    if made.shape != result.shape or made.dtype.name != result.dtype:
        raise graph.refuse(node, f"{result.dtype} {result.shape}", f"{made.dtype} {made.shape}", "export it again")
    return made


def _spread(quantization: Quantization, rank: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scales and zero points that broadcast over a tensor."""
    shape = [-1 if axis == quantization.axis and len(quantization.scales) > 1 else 1 for axis in range(rank)]
    return quantization.scales.reshape(shape), quantization.zero_points.reshape(shape)


def _dequantize(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    (data,) = constants
    if data.dtype == np.float16:
        return data.astype(np.float32)
    quantization = graph.tensors[node.inputs[0]].quantization
    if quantization is None or data.dtype.name not in ("int8", "uint8"):
        raise graph.refuse(node, "int8 or uint8 with scale and zero point", f"{data.dtype} without", "export it again")
    scales, zeros = _spread(quantization, data.ndim)
    return ((data.astype(np.int64) - zeros).astype(np.float32) * scales).astype(np.float32)


def _quantize(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    (data,) = constants
    if data.dtype == np.int8:
        return _table(graph, node, constants)
    result = graph.tensors[node.outputs[0]]
    if result.quantization is None or data.dtype != np.float32 or result.dtype != "int8":
        raise graph.refuse(node, "float32 to int8 with a scale", f"{data.dtype} to {result.dtype}", "quantise to full int8")
    scales, zeros = _spread(result.quantization, data.ndim)
    with np.errstate(all="ignore"):
        ratio = np.nan_to_num(data / scales, nan=0.0).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    return (np.clip(rounded, -512, 512).astype(np.int64) + zeros).clip(-128, 127).astype(np.int8)


def _table(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    return table_of(graph, node, _per_tensor(graph, node, node.inputs[0]))[constants[0].astype(np.int16) + 128]


def _per_tensor(graph: Graph, node: Node, tensor: int) -> Quantization:
    found = graph.quantization(node, tensor)
    if len(found.scales) > 1:
        raise graph.refuse(node, "one scale", f"{len(found.scales)}", "quantise it per tensor")
    return found


def _elementwise(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    a, b = constants
    if np.broadcast_shapes(a.shape, b.shape) != graph.tensors[node.outputs[0]].shape:
        raise ValueError("another shape of the output")
    if a.dtype == b.dtype == np.float32:
        function = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[node.op]
        return np.clip(function(a, b), *_LIMITS[node.activation], dtype=np.float32)
    first, second, result = (_per_tensor(graph, node, tensor) for tensor in (*node.inputs, node.outputs[0]))
    wide_a, wide_b = a.astype(np.int64) - first.zero_point, b.astype(np.int64) - second.zero_point
    if node.op == "mul":
        made = scale(wide_a * wide_b, multiply_factor(first.scale, second.scale, result.scale))
    else:
        for_a, for_b, for_sum = add_factors(first.scale, second.scale, result.scale)
        operands = scale(wide_a << ADD_BITS, for_a), scale(wide_b << ADD_BITS, for_b)
        made = scale(operands[0] + operands[1] * (1 if node.op == "add" else -1), for_sum)
    return np.clip(made + result.zero_point, *result.clamp(node.activation)).astype(np.int8)


def _reshape(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    return constants[0].reshape(graph.tensors[node.outputs[0]].shape)


def _transpose(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    del graph, node
    data, order = constants
    return np.ascontiguousarray(data.transpose(order.reshape(-1).tolist()))


def _pad(graph: Graph, node: Node, constants: list[_Array]) -> _Array:
    data, pads = constants
    grown = tuple(n + int(p.sum()) for n, p in zip(data.shape, pads, strict=True))
    if grown != graph.tensors[node.outputs[0]].shape:
        raise ValueError(f"padded to {grown}")
    value = graph.quantization(node, node.outputs[0]).zero_point if data.dtype == np.int8 else 0
    return np.pad(data, pads.tolist(), constant_values=value)


_FOLDS: Final[dict[str, _Fold]] = {
    **dict.fromkeys(TABLES, _table),
    **dict.fromkeys(("add", "sub", "mul"), _elementwise),
    **dict.fromkeys(("reshape", "expand_dims", "squeeze"), _reshape),
    "dequantize": _dequantize,
    "pad": _pad,
    "quantize": _quantize,
    "transpose": _transpose,
}
"""Operator -> what it makes of constants."""
