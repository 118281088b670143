"""TFLite flatbuffer -> Graph. Every offset, index and size is checked: a malformed file is a ConversionError and nothing else.

Source of the layout: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError, PackError
from edge_kws.pack_flatbuffer import Table, check_model_identifier
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor
from edge_kws_converters.readers.tflite_operators import OPERATORS, read_operator

_MAX_ELEMENTS = 1 << 24
_MAX_OPERATORS = 4096
_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 13: "resource"}
_NUMPY = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "int64": "<i8", "bool": "?", "int16": "<i2", "int8": "i1"}


def read_tflite(model: bytes, name: str = "model") -> Graph:
    """Reads a model.

    Args:
        model: the flatbuffer; what follows it (an appended zip) is ignored.
        name: how errors name the model.

    Raises:
        ConversionError: damaged file, unknown operator (all are named, with index and tensor).
    """
    try:
        check_model_identifier(model)
        return _read(model, name)
    except PackError as error:
        raise ConversionError(f"{name}: {error}") from None
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None


def _read(model: bytes, name: str) -> Graph:
    root = Table.root(model)
    codes = [max(code.integer(0, "<b"), code.integer(3, "<i")) for code in root.tables(1)]
    subgraphs = root.tables(2)
    if not subgraphs:
        raise ConversionError("expected a subgraph, found none; export the model again")
    buffers = root.tables(4)
    graph = _subgraph(subgraphs[0], codes, buffers, name)
    for node in graph.nodes:
        if node.op == "call_once":
            index: int = node.options["subgraph"]
            if not 0 < index < len(subgraphs):
                raise graph.refuse(node, f"an initialisation subgraph 1..{len(subgraphs) - 1}", str(index))
            graph.variables |= _initial_values(_subgraph(subgraphs[index], codes, buffers, name))
    graph.nodes = [node for node in graph.nodes if node.op != "call_once"]
    return graph


def _subgraph(table: Table, codes: list[int], buffers: list[Table], name: str) -> Graph:
    tensors = [_tensor(index, entry, buffers) for index, entry in enumerate(table.tables(0))]
    operators = table.tables(3)
    if len(operators) > _MAX_OPERATORS:
        raise ConversionError(f"expected at most {_MAX_OPERATORS} operators, found {len(operators)}; split the model")
    graph = Graph(name, tensors, [], list(table.integers(1)), list(table.integers(2)))
    if any(not 0 <= index < len(tensors) for index in (*graph.inputs, *graph.outputs)):
        raise ConversionError(f"expected input and output tensors below {len(tensors)}, found {graph.inputs} and {graph.outputs}")
    unknown: list[str] = []
    for index, entry in enumerate(operators):
        inputs, outputs = list(entry.integers(1)), list(entry.integers(2))
        if any(not -1 <= i < len(tensors) for i in inputs) or any(not 0 <= i < len(tensors) for i in outputs):
            raise ConversionError(f"operator {index}: expected tensors below {len(tensors)}, found {inputs} -> {outputs}")
        opcode = entry.integer(0)
        if opcode >= len(codes):
            raise ConversionError(f"operator {index}: expected an operator code below {len(codes)}, found {opcode}")
        if codes[opcode] not in OPERATORS:
            named = tensors[outputs[0]].name if outputs else "no output"
            unknown.append(f"operator {index} of code {codes[opcode]} ({named})")
            continue
        graph.nodes.append(read_operator(codes[opcode], index, inputs, outputs, entry.table(4)))
    if unknown:
        known = ", ".join(sorted(name.upper() for name, _ in OPERATORS.values()))
        raise ConversionError(f"expected operators among {known}, found {'; '.join(unknown[:8])}; export the model without them")
    _check_order(graph)
    return graph


def _check_order(graph: Graph) -> None:
    """Each tensor is written once, before it is read."""
    made = {tensor.index for tensor in graph.tensors if tensor.data is not None} | set(graph.inputs)
    for node in graph.nodes:
        late = [i for i in node.inputs if i >= 0 and i not in made]
        if late or any(i in made for i in node.outputs):
            raise graph.refuse(node, "tensors that are written once, before they are read", f"tensors {late or node.outputs}")
        made.update(node.outputs)
    if not made.issuperset(graph.outputs):
        raise ConversionError(f"expected outputs that are computed, found {graph.outputs}; export the model again")


def _tensor(index: int, table: Table, buffers: list[Table]) -> Tensor:
    name = table.payload(3, limit=1024).decode("utf-8", "replace")
    shape = table.integers(0)
    code = table.integer(1, "<b")
    if code not in _DTYPES:
        return Tensor(index, name, shape, f"type {code}")
    dtype = _DTYPES[code]
    if len(shape) > 8 or any(size < 0 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
        raise ConversionError(f"tensor {index} ({name[:80]}): expected at most {_MAX_ELEMENTS} elements, found shape {shape[:8]}")
    buffer = table.integer(2)
    if buffer >= max(1, len(buffers)):
        raise ConversionError(f"tensor {index} ({name[:80]}): expected a buffer below {len(buffers)}, found {buffer}")
    payload = buffers[buffer].payload(0) if buffers else b""
    data: NDArray[np.generic] | None = None
    if payload and dtype in _NUMPY:
        expected = math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize
        if len(payload) != expected:
            raise ConversionError(f"tensor {index} ({name[:80]}): expected {expected} bytes of content, found {len(payload)}")
        data = np.frombuffer(payload, _NUMPY[dtype]).reshape(shape)
    return Tensor(index, name, shape, dtype, _quantization(index, name, shape, table.table(4)), data)


def _quantization(index: int, name: str, shape: tuple[int, ...], table: Table | None) -> Quantization | None:
    if table is None:
        return None
    scales = np.frombuffer(table.payload(2, 4, limit=65_536), "<f4")
    zeros = np.array(table.integers(3, "q"), np.int64)
    if not len(scales):
        return None
    axis = table.integer(6, "<i")
    channels = shape[axis] if 0 <= axis < len(shape) else None
    if (len(scales) > 1 and len(scales) != channels) or len(zeros) not in (0, len(scales)):
        raise ConversionError(f"tensor {index} ({name[:80]}): expected {channels} scales, found {len(scales)} and {len(zeros)} zero points")
    if not (np.isfinite(scales).all() and (scales >= 0).all()):
        raise ConversionError(f"tensor {index} ({name[:80]}): expected finite scales >= 0, found others; quantise the model again")
    if len(zeros) and (zeros.min() < -128 or zeros.max() > 255):
        raise ConversionError(f"tensor {index} ({name[:80]}): expected zero points of 8 bits, found {zeros.min()}..{zeros.max()}")
    return Quantization(scales, zeros if len(zeros) else np.zeros(len(scales), np.int64), axis)


def _initial_values(graph: Graph) -> dict[str, NDArray[np.int8]]:
    """What the initialisation subgraph assigns to its variables."""
    names: dict[int, str] = {}
    values: dict[str, NDArray[np.int8]] = {}
    for node in graph.nodes:
        if node.op == "var_handle" and node.outputs:
            names[node.outputs[0]] = node.options["name"]
        elif node.op == "assign_variable" and len(node.inputs) == 2 and node.inputs[0] in names:
            values[names[node.inputs[0]]] = graph.constant(node, 1).astype(np.int8)
        else:
            raise graph.refuse(node, "variables set to constants at start", node.op.upper())
    return values


def operands(graph: Graph, node: Node, least: int, most: int | None = None) -> None:
    """Checks the number of a node's inputs; it must have an output."""
    if not least <= len(node.inputs) <= (most or least) or not node.outputs:
        raise graph.refuse(node, f"{least} inputs and an output", f"{len(node.inputs)} and {len(node.outputs)}")
