"""Whole-window TFLite -> incremental TFLite with internal state (resource variables), for TFLM, ESPHome and LiteRT.

Each call takes `stride` new rows. Of every tensor whose past is read, the last rows are kept in a variable: READ_VARIABLE, CONCATENATION
with the new rows, ASSIGN_VARIABLE of the newest. The output of a call is that of the whole window that ends with its rows, byte for byte,
once the window is full.
"""

import copy
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.compiler import make_program
from edge_kws_converters.graph import Graph, Node
from edge_kws_converters.passes.step_plan import StepPlan, Take, plan_steps
from edge_kws_converters.readers.tflite import read_tflite

_RESOURCE, _INT32 = 13, 2
_VERSIONS = {129: 1, 142: 1, 143: 1, 144: 1, 2: 2, 45: 2}
_CALL_ONCE, _VAR_HANDLE, _READ, _ASSIGN, _CONCATENATION, _STRIDED_SLICE = 129, 142, 143, 144, 2, 45
_ALL_BUT_TIME = 0b1101


def write_tflite_streaming(model: bytes, stride: int, name: str = "model") -> bytes:
    """The incremental form of a model.

    Args:
        model: whole-window int8 TFLite flatbuffer with time on axis 1.
        stride: rows of each call.
        name: how errors name the model.

    Raises:
        ConversionError: a model that cannot be streamed exactly; names the layer and the reason.
    """
    make_program(model, name=name, stride=stride)
    graph = read_tflite(model, name)
    return _Rewriter(model, graph, plan_steps(graph, stride)).rewrite()


class _Rewriter:
    """Edits the flatbuffer's object tree: new shapes, and operators for the past in between."""

    def __init__(self, model: bytes, graph: Graph, plan: StepPlan) -> None:
        self._schema: Any = import_module("ai_edge_litert.schema_py_generated")
        self._model: Any = self._schema.ModelT.InitFromPackedBuf(model, 0)
        self._main: Any = self._model.subgraphs[0]
        self._graph, self._plan = graph, plan
        self._operators: list[Any] = []
        self._sources: dict[int, tuple[int, int]] = {}
        self._slices: dict[tuple[int, Take], int] = {}
        self._states: list[tuple[bytes, int, int, int]] = []

    def rewrite(self) -> bytes:
        """The edited model as a flatbuffer."""
        for tensor, rows in self._plan.rows.items():
            self._resize(self._main, tensor, rows)
        self._keep_past(self._graph.inputs[0])
        for node in self._graph.nodes:
            self._rewrite(node)
        self._finish()
        from edge_kws.flatbuffer_builder import packed_model

        return packed_model(self._model)

    def _rewrite(self, node: Node) -> None:
        operator: Any = self._main.operators[node.index]
        moved = [i for i, _ in enumerate(node.inputs) if (node.index, i) in self._plan.takes]
        operator.inputs = [
            self._take(node, tensor, self._plan.takes[node.index, i]) if i in moved else tensor for i, tensor in enumerate(node.inputs)
        ]
        options: Any = operator.builtinOptions
        if node.index in self._plan.windows:
            options.strideH, dilation = self._plan.windows[node.index]
            if hasattr(options, "dilationHFactor"):
                options.dilationHFactor = dilation
        elif node.window is not None and moved:
            options.strideH = 1
        if node.op in ("reshape", "expand_dims", "squeeze") and moved:
            self._reshape(operator)
        if node.op in ("strided_slice", "slice") and moved and not self._slice(node, operator):
            return
        self._operators.append(operator)
        for tensor in node.outputs:
            self._keep_past(tensor)

    def _reshape(self, operator: Any) -> None:
        """Every change of shape as a RESHAPE to the new shape."""
        shape = np.array(self._main.tensors[operator.outputs[0]].shape, np.int32)
        operator.opcodeIndex = self._code(22, 1)
        operator.inputs = [operator.inputs[0], self._constant(self._main, shape, "shape")]
        operator.builtinOptionsType = self._schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = self._schema.ReshapeOptionsT()
        operator.builtinOptions.newShape = shape

    def _slice(self, node: Node, operator: Any) -> bool:
        """The rows are cut already; True where width or channels still have to be."""
        source, result = (self._graph.tensors[i] for i in (node.inputs[0], node.outputs[0]))
        if source.rows[1:] == result.rows[1:]:
            taken = operator.inputs[0]
            # The cut rows stand for the slice's own output everywhere.
            self._sources[result.index] = (taken, self._plan.rows[result.index])
            if self._plan.history.get(result.index):
                self._keep_past(result.index, taken)
            return False
        if node.op == "slice":
            raise self._graph.refuse(node, "STRIDED_SLICE", "SLICE of width or channels", "export it as a strided slice")
        operator.builtinOptions.beginMask |= 2
        operator.builtinOptions.endMask |= 2
        return True

    def _keep_past(self, tensor: int, content: int | None = None) -> None:
        """After a tensor is made: its past in front of it, and the newest rows into its variable."""
        content = tensor if content is None else content
        rows = self._plan.rows.get(tensor)
        history = self._plan.history.get(tensor, 0)
        if rows is None or history <= 0:
            if rows is not None:
                self._sources.setdefault(tensor, (content, rows))
            return
        name = f"edge_kws/state_{tensor}".encode()
        handle = self._resource(self._main, name)
        past = self._like(content, history, f"past_{tensor}")
        joined = self._like(content, history + rows, f"joined_{tensor}")
        kept = self._like(content, history, f"kept_{tensor}")
        self._states.append((name, handle, content, history))
        self._add(_READ, [handle], [past])
        options = self._schema.ConcatenationOptionsT()
        options.axis = 1
        self._add(_CONCATENATION, [past, content], [joined], options)
        self._cut(joined, kept, rows, history + rows, 1)
        self._add(_ASSIGN, [handle, kept], [])
        self._sources[tensor] = (joined, history + rows)

    def _take(self, node: Node, tensor: int, take: Take) -> int:
        """The tensor that holds the rows a reader takes."""
        source, total = self._sources[tensor]
        end = total - take.lag
        begin = end - take.span
        if len(self._main.tensors[source].shape) < 3:
            return source
        if begin < 0:
            raise self._graph.refuse(node, "rows that are kept", f"rows from {begin}")
        if (begin, end, take.step) == (0, total, 1):
            return source
        if (tensor, take) not in self._slices:
            result = self._like(source, take.count, f"rows_{tensor}_{len(self._slices)}")
            self._cut(source, result, begin, end, take.step)
            self._slices[tensor, take] = result
        return self._slices[tensor, take]

    def _cut(self, source: int, result: int, begin: int, end: int, step: int) -> None:
        rank = len(self._main.tensors[source].shape)
        bounds = [
            np.array([value if axis == 1 else rest for axis in range(rank)], np.int32) for value, rest in ((begin, 0), (end, 0), (step, 1))
        ]
        inputs = [source, *(self._constant(self._main, values, "bounds") for values in bounds)]
        options = self._schema.StridedSliceOptionsT()
        options.beginMask = options.endMask = _ALL_BUT_TIME & ((1 << rank) - 1)
        self._add(_STRIDED_SLICE, inputs, [result], options)

    def _finish(self) -> None:
        """Output sources, handles and the initialisation of the variables."""
        self._main.outputs = [self._sources.get(tensor, (tensor, 0))[0] for tensor in self._graph.outputs]
        made, self._operators = self._operators, []
        if self._states:
            options = self._schema.CallOnceOptionsT()
            options.initSubgraphIndex = len(self._model.subgraphs)
            self._add(_CALL_ONCE, [], [], options)
            for name, handle, _, _ in self._states:
                self._add(_VAR_HANDLE, [], [handle], self._handle_options(name))
        self._main.operators = [*self._operators, *made]
        if self._states:
            self._operators = []
            self._model.subgraphs.append(self._initialisation())
        self._model.signatureDefs = None

    def _initialisation(self) -> Any:
        subgraph = self._schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.inputs, subgraph.outputs = b"edge_kws_init", [], [], []
        for name, _, content, history in self._states:
            handle = self._resource(subgraph, name)
            kept = self._main.tensors[content]
            zero = int(kept.quantization.zeroPoint[0]) if kept.quantization is not None and kept.quantization.zeroPoint is not None else 0
            shape = [history if axis == 1 else int(size) for axis, size in enumerate(kept.shape)]
            value = self._constant(subgraph, np.full(shape, zero, np.int8), f"{name.decode()}/first", kept.quantization)
            self._add(_VAR_HANDLE, [], [handle], self._handle_options(name))
            self._add(_ASSIGN, [handle, value], [])
        subgraph.operators = self._operators
        return subgraph

    def _handle_options(self, name: bytes) -> Any:
        options = self._schema.VarHandleOptionsT()
        options.container, options.sharedName = b"", name
        return options

    def _resize(self, subgraph: Any, tensor: int, rows: int) -> None:
        found: Any = subgraph.tensors[tensor]
        if len(found.shape) > 2:
            found.shape = [int(size) if axis != 1 else rows for axis, size in enumerate(found.shape)]
        found.shapeSignature = None

    def _like(self, tensor: int, rows: int, name: str) -> int:
        """A tensor as another one, with other rows."""
        made: Any = copy.copy(self._main.tensors[tensor])
        made.name, made.buffer = name.encode(), self._buffer(None)
        self._main.tensors.append(made)
        self._resize(self._main, len(self._main.tensors) - 1, rows)
        return len(self._main.tensors) - 1

    def _constant(self, subgraph: Any, values: NDArray[Any], name: str, quantization: Any = None) -> int:
        tensor: Any = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.quantization = name.encode(), list(values.shape), quantization
        tensor.type = _INT32 if values.dtype == np.int32 else self._schema.TensorType.INT8
        tensor.buffer = self._buffer(values.tobytes())
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _resource(self, subgraph: Any, name: bytes) -> int:
        tensor: Any = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [], _RESOURCE, self._buffer(None)
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _buffer(self, data: bytes | None) -> int:
        buffer: Any = self._schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(data, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _code(self, code: int, version: int) -> int:
        for index, entry in enumerate(self._model.operatorCodes):
            if max(entry.builtinCode, entry.deprecatedBuiltinCode) == code:
                return index
        entry: Any = self._schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1

    def _add(self, code: int, inputs: list[int], outputs: list[int], options: Any = None) -> None:
        operator: Any = self._schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(code, _VERSIONS[code]), inputs, outputs
        if options is not None:
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        self._operators.append(operator)
