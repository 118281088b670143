"""Convolutions, dense layers, pools, means and padding of ONNX as TFLite has them: channels last, padding a node of its own."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.graph import Quantization, Window
from edge_kws_converters.readers.onnx import OnnxReader
from edge_kws_converters.readers.onnx_values import Constant, OnnxNode, Pending, Value, lay_out

_Pads = tuple[int, int, int, int]
"""Top, bottom, left, right."""


def _weights(reader: OnnxReader, node: OnnxNode, ranks: tuple[int, ...]) -> tuple[NDArray[np.int8], Quantization]:
    found = reader.constant(node, 1)
    data, q = found.data, found.quantization
    if q is None or data.dtype != np.int8 or data.ndim not in ranks or not data.size:
        found_text = f"{data.dtype} {data.shape}, {'no scale' if q is None else 'quantised'}"
        raise node.refuse("int8 weights through DequantizeLinear", found_text, "quantise weights to int8")
    if q.zero_points.any():
        raise node.refuse("weights with zero point 0", f"{int(q.zero_points[0])}", "quantise weights symmetrically, to int8")
    return data, q


def bias_of(reader: OnnxReader, node: OnnxNode, bias: Constant, source: int, weights: int) -> int:
    """The int32 bias tensor at the scale of the accumulator; a float one, or one of another scale, is rounded to it."""
    a, b = reader.graph.tensors[source].quantization, reader.graph.tensors[weights].quantization
    assert a is not None
    assert b is not None
    scales = np.float64(a.scale) * b.scales.astype(np.float64)
    q = bias.quantization
    if q is not None and bias.data.dtype == np.int32 and not q.zero_points.any() and _close(q.scales, scales):
        values = bias.data.reshape(-1).astype(np.float64)
    else:
        values = np.rint(bias.real().reshape(-1) / scales)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) >= 2**31:
        raise node.refuse("a bias of 32 bits at the accumulator's scale", "a larger one", "quantise again")
    found = Quantization(scales.astype(np.float32), np.zeros(len(scales), np.int64))
    return reader.tensor(f"{node.outputs[0]}_bias", (values.size,), found, values.astype(np.int32))


def _close(a: NDArray[np.float32], b: NDArray[np.float64]) -> bool:
    return a.size in (1, b.size) and bool(np.allclose(a, b, rtol=1e-6, atol=0))


def _pads(node: OnnxNode, spatial: int, sizes: list[int], kernel: list[int], steps: tuple[list[int], list[int]]) -> list[int]:
    """Padding before, then after, each spatial axis."""
    auto: Any = node.attributes.get("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b"VALID"):
        return node.integers("pads", [0] * 2 * spatial) if auto == b"NOTSET" else [0] * 2 * spatial
    if auto not in (b"SAME_UPPER", b"SAME_LOWER"):
        raise node.refuse("auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER", f"{auto!r}")
    strides, dilations = steps
    pads: list[int] = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        pads.append(max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0))
    small, large = [p // 2 for p in pads], [p - p // 2 for p in pads]
    return small + large if auto == b"SAME_UPPER" else large + small


def _window(node: OnnxNode, shape: tuple[int, ...], kernel: list[int]) -> tuple[Window, _Pads, tuple[int, int]]:
    """Window, padding and output size over (rows, width); a 1-D one has width 1."""
    spatial = len(kernel)
    if len(shape) != spatial + 2 or spatial not in (1, 2) or not all(1 <= k <= 4096 for k in kernel):
        raise node.refuse("a 1-D or 2-D kernel over (1, channels, ...)", f"kernel {kernel} over {shape}")
    strides, dilations = node.integers("strides", [1] * spatial), node.integers("dilations", [1] * spatial)
    if 0 in strides or 0 in dilations:
        raise node.refuse("strides and dilations above 0", f"{strides}, {dilations}")
    pads = _pads(node, spatial, list(shape[2:]), kernel, (strides, dilations))
    sizes: list[int] = []
    for axis, size in enumerate(shape[2:]):
        span = (kernel[axis] - 1) * dilations[axis] + 1
        room = size + pads[axis] + pads[spatial + axis] - span
        if room < 0:
            raise node.refuse(f"at least {span} elements on axis {axis + 2}", f"{size}", "use a larger window")
        if node.integer("ceil_mode", 0) and room % strides[axis]:
            raise node.refuse("ceil_mode 0", "an output that ceil_mode makes larger")
        sizes.append(room // strides[axis] + 1)
    one, none = ([1], [0]) if spatial == 1 else ([], [])
    kernel, strides, dilations = kernel + one, strides + one, dilations + one
    before, after = pads[:spatial] + none, pads[spatial:] + none
    window = Window((kernel[0], kernel[1]), (strides[0], strides[1]), (dilations[0], dilations[1]))
    rows, width = [*sizes, *one]
    return window, (before[0], after[0], before[1], after[1]), (rows, width)


def _channels_last(reader: OnnxReader, node: OnnxNode, value: Value) -> Value:
    """The value stored as (1, rows, width, channels)."""
    shape = value.shape
    if len(shape) not in (3, 4) or shape[0] != 1:
        raise node.refuse("an input of shape (1, channels, time) or (1, channels, rows, width)", f"{shape}")
    axes = [0, 2, 1] if len(shape) == 3 else [0, 2, 3, 1]
    dims = (1, shape[2], 1 if len(shape) == 3 else shape[3], shape[1])
    return reader.arrange(node, value, axes, dims)


def _padded(reader: OnnxReader, node: OnnxNode, value: Value, pads: _Pads) -> Value:
    """The channels-last value with zeros around it; its axes are stale."""
    top, bottom, left, right = pads
    if not any(pads):
        return value
    _, rows, width, channels = value.dims
    content = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    return reader.move(node, value, "pad", (1, rows + top + bottom, width + left + right, channels), content=content)


def _made(value: Value, size: tuple[int, int], channels: int, pending: Pending | None = None) -> Value:
    """A channels-last output of the rank of its input."""
    rank = len(value.axes)
    shape = (1, channels, *size)[:rank]
    axes, order = lay_out(shape, (0, 2, 1) if rank == 3 else (0, 2, 3, 1))
    changed = replace(value, axes=axes, order=order, dims=(1, *size, channels))
    return changed if pending is None else replace(changed, tensor=-1, pending=pending)


def convolution(reader: OnnxReader, node: OnnxNode) -> Value:
    """Conv: full or depthwise, over one axis or two."""
    value, _ = reader.quantized(node, 0)
    weights, q = _weights(reader, node, (3, 4))
    kernel = list(weights.shape[2:])
    if node.listed("kernel_shape", kernel) != kernel:
        raise node.refuse(f"kernel_shape {kernel}, as the weights have", f"{node.listed('kernel_shape', kernel)}")
    n, group = weights.shape[0], node.integer("group", 1)
    window, pads, size = _window(node, value.shape, kernel)
    channels = value.shape[1]
    depthwise = group == channels > 1 and weights.shape[1] == 1 and n % group == 0
    if not depthwise and (group != 1 or weights.shape[1] != channels):
        found = f"group {group}, weights {weights.shape} and {channels} channels"
        raise node.refuse("group 1, or as many groups as channels", found, "use a full or a depthwise convolution")
    if len(q.scales) > 1 and q.axis != 0:
        raise node.refuse("weight scales on axis 0", f"axis {q.axis}", "quantise per output channel")
    wide = weights if weights.ndim == 4 else weights[..., None]
    data = np.ascontiguousarray(wide.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)))
    stored = reader.tensor(node.inputs[1], data.shape, Quantization(q.scales, q.zero_points, 3 if depthwise else 0), data)
    source = _padded(reader, node, _channels_last(reader, node, value), pads)
    inputs = [source.tensor, stored]
    if reader.has(node, 2):
        inputs.append(_bias(reader, node, n, inputs))
    op = "depthwise_conv_2d" if depthwise else "conv_2d"
    return _made(source, size, n, Pending(node, op, inputs, (1, *size, n), window))


def _bias(reader: OnnxReader, node: OnnxNode, n: int, inputs: list[int]) -> int:
    bias = reader.constant(node, 2)
    if bias.data.size != n:
        raise node.refuse(f"a bias of {n}", f"{bias.data.shape}", "export it again")
    return bias_of(reader, node, bias, inputs[0], inputs[1])


def dense(reader: OnnxReader, node: OnnxNode) -> Value:
    """Gemm and MatMul with constant weights; over rows a MatMul is a convolution of 1 x 1."""
    value, _ = reader.quantized(node, 0)
    weights, q = _weights(reader, node, (2,))
    if node.op == "Gemm" and (node.real("alpha", 1.0), node.real("beta", 1.0), node.integer("transA", 0)) != (1.0, 1.0, 0):
        raise node.refuse("alpha and beta 1, transA 0", "others")
    turned = node.op == "Gemm" and node.integer("transB", 0) != 0
    data = weights if turned else weights.T
    (n, inner), shape = data.shape, value.shape
    if len(q.scales) > 1 and q.axis != (0 if turned else 1):
        raise node.refuse("one weight scale for each output", f"scales on axis {q.axis}", "quantise per output channel")
    if len(shape) < 2 or shape[-1] != inner:
        raise node.refuse(f"{inner} elements on the last axis", f"{shape}")
    scales = Quantization(q.scales, q.zero_points, 0)
    rows = math.prod(shape[:-1])
    if rows > 1:
        source = reader.arrange(node, value, list(range(len(shape))), (1, rows, 1, inner))
        stored = reader.tensor(node.inputs[1], (n, 1, 1, inner), scales, np.ascontiguousarray(data).reshape(n, 1, 1, inner))
        op, dims, window = "conv_2d", (1, rows, 1, n), Window((1, 1), (1, 1))
    else:
        # The weights move to the order of memory, so that a Flatten of (channels, rows, width) costs nothing.
        atoms = value.axes[-1]
        source = value if value.dims == (1, inner) else reader.arrange_stored(node, value, (1, inner))
        moved = data.reshape(n, *(atom.size for atom in atoms)).transpose(0, *(atoms.index(atom) + 1 for atom in value.order))
        stored = reader.tensor(node.inputs[1], (n, inner), scales, np.ascontiguousarray(moved).reshape(n, inner))
        op, dims, window = "fully_connected", (1, n), None
    inputs = [source.tensor, stored]
    if reader.has(node, 2):
        inputs.append(_bias(reader, node, n, inputs))
    axes, order = lay_out((*shape[:-1], n), tuple(range(len(shape))))
    return replace(source, axes=axes, order=order, dims=dims, tensor=-1, pending=Pending(node, op, inputs, dims, window))


def max_pool(reader: OnnxReader, node: OnnxNode) -> Value:
    """MaxPool; it keeps the scale of its input."""
    value = reader.value(node, 0)
    window, pads, size = _window(node, value.shape, _kernel(node))
    if window.dilation != (1, 1) or node.integer("storage_order", 0):
        raise node.refuse("dilations 1", f"{window.dilation}")
    source = _channels_last(reader, node, value)
    if any(pads):
        zero = reader.quantization(source).zero_point if source.pending is None else None
        if not _is_same(source.dims, window, pads, size):
            if zero != -128 and not (source.pending is not None and source.pending.low == 0):
                raise node.refuse("padding as SAME has it, or after Relu", f"pads {pads}", "pad so, or not at all")
            source = _padded(reader, node, source, pads)
        else:
            window = replace(window, same=True)
    channels = value.shape[1]
    return _made(reader.move(node, source, "max_pool_2d", (1, *size, channels), window=window), size, channels)


def _kernel(node: OnnxNode) -> list[int]:
    kernel = node.listed("kernel_shape", [])
    if not kernel:
        raise node.refuse("a kernel_shape", "none")
    return kernel


def _is_same(dims: tuple[int, ...], window: Window, pads: _Pads, size: tuple[int, int]) -> bool:
    """Whether TFLite's SAME pads just so."""
    for axis in (0, 1):
        stride, full = window.stride[axis], dims[axis + 1]
        total = max((size[axis] - 1) * stride + window.kernel[axis] - full, 0)
        if size[axis] != -(-full // stride) or pads[2 * axis] != total // 2:
            return False
    return True


def average_pool(reader: OnnxReader, node: OnnxNode) -> Value:
    """AveragePool, exactly rounded at any output scale: a depthwise convolution with equal weights."""
    value, _ = reader.quantized(node, 0)
    window, pads, size = _window(node, value.shape, _kernel(node))
    if any(pads) and not node.integer("count_include_pad", 0):
        raise node.refuse("an average without padding, or count_include_pad 1", f"pads {pads}", "average without padding")
    (kh, kw), channels = window.kernel, value.shape[1]
    if (kh, kw) == (value.shape[2], value.shape[3] if len(value.shape) == 4 else 1) and not any(pads):
        return _mean(reader, node, value, value.shape[:2] + (1,) * (len(value.shape) - 2))
    source = _padded(reader, node, _channels_last(reader, node, value), pads)
    # Weights of 64: TFLite's two roundings of a small sum would be off by one in a quarter of all means.
    scale = Quantization(np.array([1 / (64 * kh * kw)], np.float32), np.zeros(1, np.int64), 3)
    shape = (1, kh, kw, channels)
    weights = reader.tensor(f"{node.outputs[0]}_weights", shape, scale, np.full(shape, 64, np.int8))
    return _made(source, size, channels, Pending(node, "depthwise_conv_2d", [source.tensor, weights], (1, *size, channels), window))


def global_average_pool(reader: OnnxReader, node: OnnxNode) -> Value:
    """GlobalAveragePool."""
    value, _ = reader.quantized(node, 0)
    return _mean(reader, node, value, value.shape[:2] + (1,) * (len(value.shape) - 2))


def reduce_mean(reader: OnnxReader, node: OnnxNode) -> Value:
    """ReduceMean over all spatial axes of (1, channels, ...)."""
    value, _ = reader.quantized(node, 0)
    rank = len(value.axes)
    axes = reader.integers(node, 1) if reader.has(node, 1) else node.listed("axes", [])
    if not all(-rank <= axis < rank for axis in axes):
        raise node.refuse(f"axes of {rank}", f"{axes}")
    places = sorted(axis % rank for axis in axes)
    if rank not in (3, 4) or places != list(range(2, rank)):
        raise node.refuse("a mean over all axes after the channels", f"axes {axes} of {value.shape}", "average over time and width at once")
    return _mean(reader, node, value, value.shape[:2] + (1,) * (rank - 2 if node.integer("keepdims", 1) else 0))


def _mean(reader: OnnxReader, node: OnnxNode, value: Value, shape: tuple[int, ...]) -> Value:
    source = _channels_last(reader, node, value)
    axes = reader.tensor(f"{node.outputs[0]}_axes", (2,), None, np.array([1, 2], np.int32))
    channels = value.shape[1]
    made, order = lay_out(shape, tuple(range(len(shape))))
    dims = (1, channels)
    pending = Pending(node, "mean", [source.tensor, axes], dims, options={"keep_dims": False})
    return replace(source, axes=made, order=order, dims=dims, tensor=-1, pending=pending)


def pad(reader: OnnxReader, node: OnnxNode) -> Value:
    """Pad with zeros over rows and width."""
    value = reader.value(node, 0)
    rank = len(value.axes)
    pads = reader.integers(node, 1) if reader.has(node, 1) else node.listed("pads", [])
    mode, fill = node.attributes.get("mode", b"constant"), 0.0
    if reader.has(node, 2):
        real = reader.constant(node, 2).real().reshape(-1)
        fill = float(real[0]) if real.size else 0.0
    if reader.has(node, 3) or mode != b"constant" or fill != 0 or "value" in node.attributes:
        raise node.refuse("constant padding with 0", f"mode {mode!r}, value {fill:g}")
    if rank not in (3, 4) or len(pads) != 2 * rank or not all(0 <= p <= 4096 for p in pads) or any((*pads[:2], *pads[rank : rank + 2])):
        raise node.refuse("padding 0..4096 of rows and width of (1, channels, ...)", f"{pads} of {value.shape}")
    before, after = [*pads[2:rank], 0], [*pads[rank + 2 :], 0]
    source = _padded(reader, node, _channels_last(reader, node, value), (before[0], after[0], before[1], after[1]))
    return _made(source, (source.dims[1], source.dims[2]), value.shape[1])
