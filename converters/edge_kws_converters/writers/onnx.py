"""Graph -> ONNX in QDQ form: int8 in, int8 out, weights int8, every tensor between with the scale and zero point it has in the pack.

onnxruntime computes what lies between DequantizeLinear and QuantizeLinear as it likes, in integers or float, so its last bits are not
those of the reference kernels; a test states the distance. Images are (batch, rows, width, channels) as in the pack: convolutions stand
between transposes.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph, Node

_OPSET, _IR_VERSION = 17, 8


def write_onnx(graph: Graph) -> bytes:
    """The ONNX file of a cleaned whole-window graph.

    Raises:
        ConversionError: an operator that has no row here, or PyPI's onnx is not installed.
    """
    try:
        return _Writer(graph, import_module("onnx")).write()
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ConversionError(f"{graph.name}: onnx: expected PyPI's onnx, found none; pip install 'edge-kws[convert]'") from None


class _Writer:
    def __init__(self, graph: Graph, onnx: Any) -> None:
        self.graph, self._onnx = graph, onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def write(self) -> bytes:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.INT8
        unknown = [self.graph.where(node) for node in self.graph.nodes if node.op not in _ROWS]
        if unknown:
            raise ConversionError(f"{self.graph.name}: onnx: expected operators among {', '.join(_ROWS)}, found {unknown[0]}")
        for node in self.graph.nodes:
            value = _ROWS[node.op](self, node)
            if value is not None:
                self._quantized(self._activated(node, value), node.outputs[0])
        ends = [
            [helper.make_tensor_value_info(self.name(i), kind, list(self.graph.tensors[i].shape)) for i in indices]
            for indices in (self.graph.inputs, self.graph.outputs)
        ]
        made = helper.make_graph(self._nodes, self.graph.name, *ends, self._constants)
        model = helper.make_model(made, producer_name="edge_kws", opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR_VERSION
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def name(self, tensor: int) -> str:
        """A graph tensor's name: its int8 form."""
        return "features" if tensor in self.graph.inputs else "posteriors" if tensor in self.graph.outputs else f"t{tensor}"

    def emit(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """A node with one output; returns the output's name."""
        out = f"n{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(op, inputs, [out], **attributes))
        return out

    def constant(self, values: NDArray[Any]) -> str:
        """An initializer's name."""
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def real(self, node: Node, position: int) -> str:
        """The real values of a node's activation input."""
        return self.emit("DequantizeLinear", [self.name(node.inputs[position]), *self._scale(node.inputs[position])])

    def weights(self, node: Node, order: tuple[int, ...]) -> str:
        """The real values of a node's weights, axes in another order; channels are those of axis 0 after that."""
        found = self.graph.quantized(node, node.inputs[1])
        return self._stored(self.graph.constant(node, 1).transpose(order), found.quantization)

    def bias(self, node: Node) -> list[str]:
        """The real values of a node's int32 bias, nothing where it has none."""
        if len(node.inputs) < 3 or node.inputs[2] < 0:
            return []
        return [self._stored(self.graph.constant(node, 2).astype(np.int32), self.graph.tensors[node.inputs[2]].quantization)]

    def _stored(self, values: NDArray[Any], quantization: Any) -> str:
        scales, zeros = quantization.scales.astype(np.float32), quantization.zero_points.astype(values.dtype)
        if len(scales) == 1:
            scales, zeros = scales.reshape(()), zeros.reshape(())
        return self.emit("DequantizeLinear", [self.constant(values), self.constant(scales), self.constant(zeros)], axis=0)

    def _activated(self, node: Node, value: str) -> str:
        if node.activation == "none":
            return value
        low, high = {"relu": (0.0, np.inf), "relu_n1_to_1": (-1.0, 1.0), "relu6": (0.0, 6.0)}[node.activation]
        if high == np.inf:
            return self.emit("Relu", [value])
        return self.emit("Clip", [value, self.constant(np.array(low, np.float32)), self.constant(np.array(high, np.float32))])

    def _quantized(self, value: str, tensor: int) -> None:
        node = self._onnx.helper.make_node("QuantizeLinear", [value, *self._scale(tensor)], [self.name(tensor)])
        self._nodes.append(node)

    def same(self, op: str, node: Node, inputs: list[str], **attributes: Any) -> None:
        """A node on int8 values that moves them only."""
        self._nodes.append(self._onnx.helper.make_node(op, inputs, [self.name(i) for i in node.outputs], **attributes))

    def _scale(self, tensor: int) -> list[str]:
        found = self.graph.tensors[tensor].quantization
        assert found is not None  # `quantized` or the reader has seen it
        return [self.constant(np.array(found.scale, np.float32)), self.constant(np.array(found.zero_point, np.int8))]


def _convolution(writer: _Writer, node: Node) -> str:
    window = node.window
    assert window is not None
    depthwise = node.op == "depthwise_conv_2d"
    shape = writer.graph.tensors[node.inputs[1]].shape
    kernel, channels = shape[1:3], writer.graph.tensors[node.inputs[0]].shape[3]
    if window.same and (kernel != (1, 1) or window.stride != (1, 1)):
        pads: dict[str, Any] = {"auto_pad": "SAME_UPPER"}
    else:
        pads = {"auto_pad": "VALID"}
    image = writer.emit("Transpose", [writer.real(node, 0)], perm=[0, 3, 1, 2])
    weights = writer.weights(node, (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    made = writer.emit(
        "Conv",
        [image, weights, *writer.bias(node)],
        kernel_shape=list(kernel),
        strides=list(window.stride),
        dilations=list(window.dilation),
        group=channels if depthwise else 1,
        **pads,
    )
    return writer.emit("Transpose", [made], perm=[0, 2, 3, 1])


def _fully_connected(writer: _Writer, node: Node) -> str:
    weights = writer.weights(node, (0, 1))
    width = writer.graph.tensors[node.inputs[1]].shape[1]
    flat = writer.emit("Reshape", [writer.real(node, 0), writer.constant(np.array([-1, width], np.int64))])
    return writer.emit("Gemm", [flat, weights, *writer.bias(node)], transB=1)


def _binary(op: str) -> Callable[[_Writer, Node], str]:
    return lambda writer, node: writer.emit(op, [writer.real(node, 0), writer.real(node, 1)])


def _unary(op: str) -> Callable[[_Writer, Node], str]:
    return lambda writer, node: writer.emit(op, [writer.real(node, 0)])


def _softmax(writer: _Writer, node: Node) -> str:
    value = writer.real(node, 0)
    if node.options["beta"] != 1:
        value = writer.emit("Mul", [value, writer.constant(np.array(node.options["beta"], np.float32))])
    return writer.emit("Softmax", [value], axis=-1)


def _reshape(writer: _Writer, node: Node) -> None:
    shape = np.array(writer.graph.tensors[node.outputs[0]].shape, np.int64)
    writer.same("Reshape", node, [writer.name(node.inputs[0]), writer.constant(shape)])


def _strided_slice(writer: _Writer, node: Node) -> None:
    graph, options = writer.graph, node.options
    if any(options[mask] for mask in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")):
        raise graph.refuse(node, "a plain slice", f"{options}")
    begin, end, step = (graph.constant(node, i).astype(np.int64).copy() for i in (1, 2, 3))
    shape = graph.tensors[node.inputs[0]].shape
    for axis, size in enumerate(shape):
        begin[axis] = 0 if options["begin_mask"] >> axis & 1 else begin[axis]
        end[axis] = size if options["end_mask"] >> axis & 1 else end[axis]
    axes = np.arange(len(shape), dtype=np.int64)
    writer.same("Slice", node, [writer.name(node.inputs[0]), *(writer.constant(values) for values in (begin, end, axes, step))])


_ROWS: dict[str, Callable[[_Writer, Node], str | None]] = {
    "conv_2d": _convolution,
    "depthwise_conv_2d": _convolution,
    "fully_connected": _fully_connected,
    "add": _binary("Add"),
    "mul": _binary("Mul"),
    "logistic": _unary("Sigmoid"),
    "softmax": _softmax,
    "reshape": _reshape,
    "strided_slice": _strided_slice,
}
"""Graph operator -> what writes it: the real value to be quantised, or None where int8 values only moved."""
