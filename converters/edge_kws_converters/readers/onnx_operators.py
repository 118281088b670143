"""The ONNX operators that are read: one row each."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.graph import Quantization
from edge_kws_converters.readers.onnx import OnnxReader
from edge_kws_converters.readers.onnx_file import MAX_ELEMENTS, array_of
from edge_kws_converters.readers.onnx_layers import average_pool, convolution, dense, global_average_pool, max_pool, pad, reduce_mean
from edge_kws_converters.readers.onnx_values import Constant, OnnxNode, Pending, Value

_Read = Callable[[OnnxReader, OnnxNode], "Constant | Value"]


def _parameters(reader: OnnxReader, node: OnnxNode, rank: int) -> tuple[Quantization, type[np.integer[Any]]]:
    """Scales and zero points, shifted to int8, and the type in the file."""
    scales = reader.constant(node, 1).data
    zeros = reader.constant(node, 2).data if reader.has(node, 2) else np.zeros(scales.shape, np.uint8)
    if scales.dtype != np.float32 or scales.ndim > 1 or scales.size < 1 or zeros.size != scales.size:
        raise node.refuse("float32 scales and as many zero points", f"{scales.dtype} {scales.shape}, {zeros.size}", "quantise again")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise node.refuse("finite scales above 0", f"{scales.reshape(-1)[:4]}", "quantise again")
    if zeros.dtype.name not in ("int8", "uint8", "int32") or node.integer("block_size", 0):
        raise node.refuse("int8 or uint8, per tensor or per channel", f"{zeros.dtype}, block size {node.integer('block_size', 0)}")
    wide = zeros.reshape(-1).astype(np.int64) - (128 if zeros.dtype == np.uint8 else 0)
    axis = node.integer("axis", 1)
    if scales.size > 1 and not -rank <= axis < rank:
        raise node.refuse(f"an axis of {rank}", f"{axis}", "quantise again")
    return Quantization(scales.reshape(-1), wide, axis % rank if rank else 0), zeros.dtype.type


def _per_channel(node: OnnxNode, data: NDArray[Any], q: Quantization) -> NDArray[np.float64]:
    if len(q.scales) > 1 and data.shape[q.axis] != len(q.scales):
        raise node.refuse(f"{data.shape[q.axis]} scales on axis {q.axis}", f"{len(q.scales)}", "quantise again")
    shape = [-1 if axis == q.axis and len(q.scales) > 1 else 1 for axis in range(data.ndim)]
    return np.stack([q.scales.astype(np.float64).reshape(shape), q.zero_points.astype(np.float64).reshape(shape)])


def _quantize(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    found = reader.operand(node, 0)
    rank = found.data.ndim if isinstance(found, Constant) else len(found.axes)
    q, kind = _parameters(reader, node, rank)
    if kind is np.int32 or node.integer("output_dtype", 0) not in (0, 2, 3):
        raise node.refuse("QuantizeLinear to int8 or uint8", "another type", "quantise to 8 bits")
    if isinstance(found, Constant):
        scales, zeros = _per_channel(node, found.data, q)
        return Constant(np.clip(np.rint(found.real() / scales) + zeros, -128, 127).astype(np.int8), q)
    if len(q.scales) > 1:
        raise node.refuse("one scale for a computed tensor", f"{len(q.scales)}", "quantise activations per tensor")
    return replace(reader.quantize(node, reader.value(node, 0), q), integer=True)


def _dequantize(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    found = reader.operand(node, 0)
    if isinstance(found, Constant):
        q, kind = _parameters(reader, node, found.data.ndim)
        if found.quantization is None and (found.data.dtype.name not in ("int8", "uint8", "int32") or _differs(reader, node, found, kind)):
            raise node.refuse(f"content of the zero point's type {kind.__name__}", f"{found.data.dtype}", "quantise again")
        _per_channel(node, found.data, q)
        data = found.data
        if data.dtype == np.uint8:
            data = (data.astype(np.int16) - 128).astype(np.int8)
        if data.dtype == np.int32 and not reader.has(node, 2):
            q = Quantization(q.scales, np.zeros(len(q.scales), np.int64), q.axis)
        return Constant(data, q)
    q, _ = _parameters(reader, node, len(found.axes))
    if not found.integer or len(q.scales) > 1:
        raise node.refuse("quantised integers with one scale", "a float tensor" if not found.integer else f"{len(q.scales)} scales")
    if found.pending is not None:
        return replace(reader.quantize(node, found, q), integer=False)
    made = reader.quantization(found)
    if (made.scale, made.zero_point) != (q.scale, q.zero_point):
        raise node.refuse("the scale and zero point of its QuantizeLinear", f"{q.scale}, {q.zero_point}", "quantise again")
    return replace(found, integer=False)


def _differs(reader: OnnxReader, node: OnnxNode, found: Constant, kind: type[np.integer[Any]]) -> bool:
    return reader.has(node, 2) and found.data.dtype != kind


def _constant(reader: OnnxReader, node: OnnxNode) -> Constant:
    tensor = node.attributes.get("value")
    if tensor is None or not hasattr(tensor, "data_type"):
        raise node.refuse("a tensor as its value", "another attribute")
    return Constant(array_of(node.where, tensor))


def _clip(reader: OnnxReader, node: OnnxNode) -> Value:
    if "min" in node.attributes or "max" in node.attributes:
        low, high = node.real("min", -3.4e38), node.real("max", 3.4e38)
    else:
        low, high = (
            float(reader.constant(node, i).real().reshape(-1)[0]) if reader.has(node, i) and reader.constant(node, i).data.size else missing
            for i, missing in ((1, -math.inf), (2, math.inf))
        )
    return _bounded(reader, node, low if low > -1e38 else -math.inf, high if high < 1e38 else math.inf)


def _relu(reader: OnnxReader, node: OnnxNode) -> Value:
    return _bounded(reader, node, 0.0, math.inf)


def _bounded(reader: OnnxReader, node: OnnxNode, low: float, high: float) -> Value:
    value = reader.value(node, 0)
    if not low <= 0 <= high or low == high:
        raise node.refuse("bounds around 0", f"{low:g}..{high:g}")
    pending = value.pending
    if pending is not None and pending.fixed is None:
        return replace(value, pending=replace(pending, low=max(low, pending.low), high=min(high, pending.high)))
    value, _ = reader.quantized(node, 0)
    return replace(value, tensor=-1, pending=Pending(node, "quantize", [value.tensor], value.dims, low=low, high=high))


def _binary(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    """Add, Sub, Mul of two computed tensors, or of one and a constant; a constant after a layer without bias becomes its bias."""
    operands = [reader.operand(node, i) for i in (0, 1)]
    if isinstance(operands[0], Constant) and isinstance(operands[1], Constant):
        return _folded(node, operands[0], operands[1])
    if isinstance(operands[0], Constant) and node.op != "Sub":
        operands.reverse()
        node = replace(node, inputs=node.inputs[::-1])
    if isinstance(operands[1], Constant) and node.op == "Add":
        biased = _with_bias(reader, node, operands[1])
        if biased is not None:
            return biased
    first, _ = reader.quantized(node, 0)
    if isinstance(operands[1], Constant):
        second = _constant_operand(reader, node, first, operands[1])
    else:
        value, _ = reader.quantized(node, 1)
        if value.layout() != first.layout() or len(value.axes) != len(first.axes):
            raise node.refuse("two tensors of one shape and order of axes", f"{first.shape} and {value.shape}", "add tensors of one shape")
        second = reader.arrange_stored(node, value, first.dims).tensor
    return replace(first, tensor=-1, pending=Pending(node, node.op.lower(), [first.tensor, second], first.dims))


def _folded(node: OnnxNode, first: Constant, second: Constant) -> Constant:
    """Two constants make one, in float32 as ONNX has it."""
    a, b = first.real().astype(np.float32), second.real().astype(np.float32)
    try:
        size = math.prod(np.broadcast_shapes(a.shape, b.shape))
    except ValueError:
        raise node.refuse("constants that fit each other", f"{a.shape} and {b.shape}", "export it again") from None
    if size > MAX_ELEMENTS:
        raise node.refuse(f"at most {MAX_ELEMENTS} elements", f"{a.shape} and {b.shape}", "fold them first")
    with np.errstate(all="ignore"):
        return Constant({"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[node.op](a, b))


def _with_bias(reader: OnnxReader, node: OnnxNode, constant: Constant) -> Value | None:
    from edge_kws_converters.readers.onnx_layers import bias_of

    value = reader.value(node, 0)
    pending = value.pending
    if pending is None or pending.node.op not in ("Gemm", "MatMul") or len(pending.inputs) != 2 or pending.steps:
        return None
    if not math.isinf(pending.low) or not math.isinf(pending.high):
        return None
    n, shape = value.shape[-1], constant.data.shape
    if constant.data.size != n or shape[-1:] != (n,) or len(shape) > len(value.axes):
        return None
    bias = bias_of(reader, node, constant, pending.inputs[0], pending.inputs[1])
    return replace(value, pending=replace(pending, node=replace(node, index=pending.node.index), inputs=[*pending.inputs, bias]))


def _constant_operand(reader: OnnxReader, node: OnnxNode, first: Value, constant: Constant) -> int:
    q = constant.quantization
    if constant.data.dtype != np.int8 or q is None or len(q.scales) > 1:
        raise node.refuse("an int8 constant with one scale", f"{constant.data.dtype} {constant.data.shape}", "quantise it, too")
    shape = first.shape
    try:
        wide = np.broadcast_to(constant.data, shape)
    except ValueError:
        raise node.refuse(f"a constant that fits {shape}", f"{constant.data.shape}", "export it again") from None
    atoms = [atom for axis in first.axes for atom in axis]
    moved = wide.reshape([atom.size for atom in atoms]).transpose([atoms.index(atom) for atom in first.order])
    data = np.ascontiguousarray(moved).reshape(first.dims)
    rows_equal = len(first.dims) > 2 and bool((data == data[:, :1]).all())
    return reader.tensor(node.inputs[1], (1, 1, *data.shape[2:]) if rows_equal else data.shape, q, data[:, :1] if rows_equal else data)


def _fixed(op: str, scale: float, zero: int, **options: Any) -> _Read:
    """A function whose output TFLite gives one scale."""

    def read(reader: OnnxReader, node: OnnxNode) -> Value:
        value, _ = reader.quantized(node, 0)
        if op == "softmax":
            axis = node.integer("axis", -1)
            rank = len(value.axes)
            atoms = value.axes[axis] if -rank <= axis < rank else ()
            if axis not in (-1, rank - 1, 1) or value.order[len(value.order) - len(atoms) :] != atoms or not atoms:
                raise node.refuse("classes on the last axis of channels-last memory", f"axis {axis} of {value.shape}")
            if value.dims[-1] != value.shape[axis]:
                dims = (
                    (1, math.prod(value.shape) // value.shape[axis], value.shape[axis])
                    if len(value.order) > len(atoms)
                    else (1, value.shape[axis])
                )
                value = reader.arrange_stored(node, value, dims)
        q = Quantization(np.array([scale], np.float32), np.array([zero], np.int64))
        return replace(value, tensor=-1, pending=Pending(node, op, [value.tensor], value.dims, options=options, fixed=q))

    return read


def _target_shape(reader: OnnxReader, node: OnnxNode, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What Reshape, Flatten, Squeeze and Unsqueeze make of a shape."""
    rank = len(shape)
    if node.op == "Flatten":
        axis = node.integer("axis", 1)
        if not -rank <= axis <= rank:
            raise node.refuse(f"an axis of {rank}", f"{axis}")
        axis = axis + rank if axis < 0 else axis
        return math.prod(shape[:axis]), math.prod(shape[axis:])
    if node.op == "Reshape":
        wanted = reader.integers(node, 1)
        if node.integer("allowzero", 0) and 0 in wanted:
            raise node.refuse("sizes above 0", f"{wanted}")
        sizes = [shape[i] if size == 0 and i < rank else size for i, size in enumerate(wanted)]
        if sizes.count(-1) == 1:
            rest = math.prod(size for size in sizes if size != -1)
            sizes[sizes.index(-1)] = math.prod(shape) // rest if rest > 0 else 0
    else:
        axes = reader.integers(node, 1) if reader.has(node, 1) else node.listed("axes", [])
        sizes = _squeezed(node, list(shape), axes)
    if not 1 <= len(sizes) <= 8 or min(sizes) < 1:
        raise node.refuse("1 to 8 sizes above 0", f"{sizes[:9]}")
    return tuple(sizes)


def _squeezed(node: OnnxNode, shape: list[int], axes: list[int]) -> list[int]:
    adds = node.op == "Unsqueeze"
    rank = len(shape) + (len(axes) if adds else 0)
    axes = axes or ([] if adds else [i for i, size in enumerate(shape) if size == 1])
    places = sorted({axis % rank for axis in axes if -rank <= axis < rank})
    if len(places) != len(axes) or (not adds and any(shape[axis] != 1 for axis in places)):
        raise node.refuse(f"different axes of {rank}, of size 1", f"{axes} of {shape}")
    if adds:
        for axis in places:
            shape.insert(axis, 1)
        return shape
    return [size for i, size in enumerate(shape) if i not in places]


def _reshape(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    found = reader.operand(node, 0)
    if isinstance(found, Constant):
        shape = _target_shape(reader, node, found.data.shape)
        if math.prod(shape) != found.data.size or (found.quantization is not None and len(found.quantization.scales) > 1):
            raise node.refuse("a constant with as many elements and one scale", f"{found.data.shape} -> {shape}")
        return Constant(found.data.reshape(shape), found.quantization)
    value = reader.value(node, 0)
    return value.regrouped(node, _target_shape(reader, node, value.shape))


def _transpose(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    found = reader.operand(node, 0)
    rank = found.data.ndim if isinstance(found, Constant) else len(found.axes)
    order = node.listed("perm", list(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise node.refuse(f"an order of {rank} axes", f"{order}")
    if isinstance(found, Constant):
        q = found.quantization
        moved = q and Quantization(q.scales, q.zero_points, order.index(q.axis) if len(q.scales) > 1 else 0)
        return Constant(np.ascontiguousarray(found.data.transpose(order)), moved)
    value = reader.value(node, 0)
    return replace(value, axes=tuple(value.axes[axis] for axis in order))


def _identity(reader: OnnxReader, node: OnnxNode) -> Constant | Value:
    return reader.operand(node, 0)


OPERATORS: dict[str, _Read] = {
    "Add": _binary,
    "AveragePool": average_pool,
    "Clip": _clip,
    "Constant": _constant,
    "Conv": convolution,
    "DequantizeLinear": _dequantize,
    "Flatten": _reshape,
    "Gemm": dense,
    "GlobalAveragePool": global_average_pool,
    "Identity": _identity,
    "MatMul": dense,
    "MaxPool": max_pool,
    "Mul": _binary,
    "Pad": pad,
    "QuantizeLinear": _quantize,
    "ReduceMean": reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sigmoid": _fixed("logistic", 1 / 256, -128),
    "Softmax": _fixed("softmax", 1 / 256, -128, beta=1.0),
    "Squeeze": _reshape,
    "Sub": _binary,
    "Tanh": _fixed("tanh", 1 / 128, 0),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
"""ONNX operator -> what reads it."""
