"""ONNX in QDQ form, as ONNX Runtime and NNCF write it -> Graph. A damaged or unsupported file is a ConversionError and nothing else.

The graph is the one TFLite would hold: NHWC, int8 (uint8 shifted by 128), activations fused, time on axis 1. Where ONNX has channels
first, the model's input and output are channels last here. Source of the operators' meaning: onnx/docs/Operators.md.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Activation, Graph, Node, Quantization, Tensor, Window
from edge_kws_converters.readers.onnx_file import MAX_ELEMENTS, array_of, input_of, nodes_of, parse
from edge_kws_converters.readers.onnx_values import AxisOrderError, Constant, OnnxNode, Pending, Step, Value, lay_out

_DEQUANTISE = "quantise the model to QDQ int8 with QuantizeLinear and DequantizeLinear around every operator"


def is_onnx(model: bytes) -> bool:
    """Whether a file starts as ONNX does (field 1, ir_version) and not as TFLite."""
    return model[:1] == b"\x08" and model[4:8] != b"TFL3"


def read_onnx(model: bytes, name: str = "model") -> Graph:
    """Reads a QDQ model.

    Args:
        model: a serialised ModelProto with its weights inside.
        name: how errors name the model.

    Raises:
        ConversionError: damaged file, unknown operator (all are named), or one that has no int8 form; names node index, operator, tensor.
    """
    try:
        proto = parse(model)
        nodes = nodes_of(proto)
        source = input_of(proto)
        error: ConversionError | None = None
        for order in _input_orders(source[1]):
            try:
                return OnnxReader(name, proto, source, order).read(nodes)
            except AxisOrderError as found:
                error = error or found
        raise error or ConversionError("expected an input, found none")
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None


def _input_orders(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Orders in memory that the input may have, as it is first: callers hand over whichever the operators need."""
    wide = tuple(axis for axis, size in enumerate(shape) if size > 1)
    return list(itertools.permutations(wide))


class OnnxReader:
    """One reading, with the input's axes in one order."""

    def __init__(self, name: str, proto: Any, source: tuple[str, tuple[int, ...], int], order: tuple[int, ...]) -> None:
        self.graph = Graph(name, [], [], [], [])
        self._output: str = proto.output[0].name
        self._names: dict[str, Constant | Value] = {}
        self._made: dict[tuple[Pending, float, int], int] = {}
        for entry in proto.initializer:
            self._names[entry.name] = Constant(array_of(f"initializer {entry.name[:60]}", entry))
        name, shape, kind = source
        axes, atoms = lay_out(shape, order)
        dims = (1, *(shape[axis] for axis in order)) if order else shape
        pending = Pending(OnnxNode(-1, "input", [], [name], {}), "input", [], dims)
        self._names[name] = Value(axes, atoms, dims, pending=pending, integer=kind != 1)

    def read(self, nodes: list[OnnxNode]) -> Graph:
        """All nodes; what no output needs is dropped later."""
        from edge_kws_converters.readers.onnx_operators import OPERATORS

        for node in nodes:
            if node.outputs[0] in self._names:
                raise node.refuse("an output that is written once", "another of its name")
            self._names[node.outputs[0]] = OPERATORS[node.op](self, node)
        found = self._names.get(self._output)
        if not isinstance(found, Value):
            raise ConversionError(f"output {self._output[:60]}: expected one that is computed, found none; export the model again")
        if found.pending is not None:
            if found.pending.fixed is None:
                step = "add QuantizeLinear and DequantizeLinear with the range that calibration data gives this output"
                raise found.pending.node.refuse("a quantised output of the model", "a float one", step)
            found = self.quantize(found.pending.node, found, found.pending.fixed)
        self.graph.outputs = [found.tensor]
        return self.graph

    # ---- operands ----

    def operand(self, node: OnnxNode, position: int) -> Constant | Value:
        """Input `position` of a node."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name not in self._names or not name:
            raise node.refuse(f"an input {position} that is made before", name or "none", "export the model again")
        return self._names[name]

    def has(self, node: OnnxNode, position: int) -> bool:
        """Whether an optional input is given."""
        return position < len(node.inputs) and node.inputs[position] != ""

    def constant(self, node: OnnxNode, position: int) -> Constant:
        """A constant input."""
        found = self.operand(node, position)
        if isinstance(found, Value):
            raise node.refuse(f"a constant input {position}", f"a computed one ({node.inputs[position][:60]})")
        return found

    def integers(self, node: OnnxNode, position: int) -> list[int]:
        """A constant int64 input of at most 16 values."""
        data = self.constant(node, position).data
        if data.dtype != np.int64 or data.size > 16:
            raise node.refuse(f"int64 values as input {position}", f"{data.dtype} {data.shape}")
        return [int(x) for x in data.reshape(-1)]

    def value(self, node: OnnxNode, position: int) -> Value:
        """A computed input, dequantised or waiting for its scale."""
        found = self.operand(node, position)
        if isinstance(found, Constant) or found.integer:
            kind = "a constant" if isinstance(found, Constant) else "integers"
            raise node.refuse(f"a dequantised input {position}", f"{kind} ({node.inputs[position][:60]})", _DEQUANTISE)
        return found

    def quantized(self, node: OnnxNode, position: int) -> tuple[Value, Quantization]:
        """A computed input that has a scale."""
        found = self.value(node, position)
        if found.pending is not None and found.pending.fixed is not None:
            found = self.quantize(node, found, found.pending.fixed)
        if found.pending is not None:
            raise node.refuse(f"a quantised input {position}", f"a float one ({node.inputs[position][:60]})", _DEQUANTISE)
        return found, self.quantization(found)

    def quantization(self, value: Value) -> Quantization:
        """Of a tensor that has one."""
        found = self.graph.tensors[value.tensor].quantization
        assert found is not None
        return found

    # ---- nodes ----

    def tensor(self, name: str, dims: tuple[int, ...], q: Quantization | None, data: NDArray[Any] | None = None) -> int:
        """A new tensor: int8, or the type of its data."""
        if math.prod(dims) > MAX_ELEMENTS:
            raise ConversionError(f"tensor {name[:60]}: expected at most {MAX_ELEMENTS} elements, found shape {dims}; use a smaller window")
        index = len(self.graph.tensors)
        self.graph.tensors.append(Tensor(index, name, dims, "int8" if data is None else str(data.dtype), q, data))
        return index

    def arrange(self, node: OnnxNode, value: Value, axes: list[int], dims: tuple[int, ...]) -> Value:
        """The value stored with these ONNX axes outermost first, shape `dims`; only reshapes, never moves."""
        wanted = tuple(atom for axis in axes for atom in value.axes[axis])
        if wanted != value.order:
            raise AxisOrderError(
                f"{node.where}: expected axes in the order that channels-last memory has them, found another order of {value.shape}; "
                "export without the transposition before it"
            )
        return self.arrange_stored(node, value, dims)

    def arrange_stored(self, node: OnnxNode, value: Value, dims: tuple[int, ...]) -> Value:
        """The value under another shape, its atoms in the order they are in."""
        return value if value.dims == dims else self.move(node, value, "reshape", dims, content=np.array(dims, np.int32))

    def move(
        self,
        node: OnnxNode,
        value: Value,
        op: str,
        dims: tuple[int, ...],
        *,
        window: Window | None = None,
        content: NDArray[np.int32] | None = None,
    ) -> Value:
        """Appends a node that keeps the quantisation; after a node that waits for its scale it waits too."""
        step = Step(node.index, op, f"{node.outputs[0]}_{op}", dims, window, content)
        if value.pending is not None:
            return replace(value, dims=dims, pending=replace(value.pending, steps=(*value.pending.steps, step)))
        return replace(value, dims=dims, tensor=self._step(step, value.tensor))

    def _step(self, step: Step, tensor: int) -> int:
        inputs = [tensor]
        if step.content is not None:
            inputs.append(self.tensor(f"{step.name}_{len(self.graph.tensors)}", step.content.shape, None, step.content))
        made = self.tensor(step.name, step.dims, self.graph.tensors[tensor].quantization)
        self.graph.nodes.append(Node(step.op, step.index, inputs, [made], step.window))
        return made

    def quantize(self, node: OnnxNode, value: Value, q: Quantization) -> Value:
        """The value with a scale: a waiting node gets it, a quantised tensor of another scale is requantised."""
        pending = value.pending
        if pending is None:
            if _same(self.quantization(value), q):
                return value
            made = self.tensor(node.outputs[0], value.dims, q)
            self.graph.nodes.append(Node("quantize", node.index, [value.tensor], [made]))
            return replace(value, tensor=made)
        key = (pending, float(q.scale), q.zero_point)
        if key not in self._made:
            tensor = self._place(pending, pending.fixed or q)
            for step in pending.steps:
                tensor = self._step(step, tensor)
            self._made[key] = tensor
        made = replace(value, tensor=self._made[key], pending=None)
        return made if pending.fixed is None else self.quantize(node, made, q)

    def _place(self, pending: Pending, q: Quantization) -> int:
        """The node itself, with the scale of its output."""
        from edge_kws_converters.readers.onnx_layers import bias_of

        node, name = pending.node, pending.node.outputs[0]
        activation = _activation(node, pending.low, pending.high, q)
        if pending.op == "input":
            if self.graph.inputs and not _same(self._input_quantization, q):
                raise ConversionError(f"input {name[:60]}: expected one quantisation, found two; quantise the model again")
            if activation != "none":
                raise ConversionError(f"input {name[:60]}: expected it quantised before an activation, found {activation}; quantise again")
            if not self.graph.inputs:
                self._input_quantization = q
                self.graph.inputs = [self.tensor(name, pending.dims, q)]
            return self.graph.inputs[0]
        op, inputs = pending.op, pending.inputs
        if op == "quantize" and activation != "none":
            op, activation = activation, "none"
        elif op == "quantize" and _same(q, self.graph.tensors[inputs[0]].quantization):
            return inputs[0]
        if op in ("conv_2d", "depthwise_conv_2d", "fully_connected") and len(inputs) == 2:
            # LiteRT wants a bias.
            n = pending.dims[-1]
            inputs = [*inputs, bias_of(self, node, Constant(np.zeros(n)), *inputs)]
        made = self.tensor(name, pending.dims, q)
        self.graph.nodes.append(Node(op, node.index, list(inputs), [made], pending.window, activation, dict(pending.options)))
        return made


def _same(a: Quantization | None, b: Quantization | None) -> bool:
    return a is not None and b is not None and (a.scale, a.zero_point) == (b.scale, b.zero_point)


def _activation(node: OnnxNode, low: float, high: float, q: Quantization) -> Activation:
    """The fused activation that clips to low..high; bounds outside the int8 range clip nothing."""

    def level(real: float) -> float:
        return round(real / float(q.scale)) + q.zero_point if math.isfinite(real) else real

    cuts_low, cuts_high = level(low) > -128, level(high) < 127
    if not cuts_low and not cuts_high:
        return "none"
    if low == 0 and not cuts_high:
        return "relu"
    names: tuple[tuple[Activation, tuple[float, float]], ...] = (("relu6", (0.0, 6.0)), ("relu_n1_to_1", (-1.0, 1.0)))
    for name, bounds in names:
        if (low == bounds[0] or not (cuts_low or level(bounds[0]) > -128)) and (
            high == bounds[1] or not (cuts_high or level(bounds[1]) < 127)
        ):
            return name
    raise node.refuse(
        "Relu, or Clip to 0..6 or -1..1", f"Clip to {low:g}..{high:g} inside the range of its scale", "calibrate it to that range"
    )
