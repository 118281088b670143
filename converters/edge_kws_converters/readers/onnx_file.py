"""The content of an ONNX file, checked: nodes, constants and the shape of its input."""

import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.readers.onnx_values import OnnxNode

_MAX_NODES, MAX_ELEMENTS = 16_384, 1 << 24
_INTEGER_TYPES = {2: np.uint8, 3: np.int8}
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, **_INTEGER_TYPES}


def parse(model: bytes) -> Any:
    """The GraphProto of a serialised model. Raises ConversionError."""
    try:
        onnx: Any = import_module("onnx")
    except ImportError:
        raise ConversionError("expected the package onnx, found none; pip install 'edge-kws[convert]'") from None
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(model)
    except Exception as error:  # protobuf's own exception type differs between its implementations
        raise ConversionError(f"expected an ONNX file, found: {str(error)[:80]}; export the model again") from None
    if len(proto.graph.node) > _MAX_NODES or not proto.graph.node:
        raise ConversionError(f"expected 1..{_MAX_NODES} nodes, found {len(proto.graph.node)}; export the model again")
    return proto.graph


def nodes_of(proto: Any) -> list[OnnxNode]:
    """All nodes, of known operators only. Raises ConversionError that names the others."""
    from edge_kws_converters.readers.onnx_operators import OPERATORS

    nodes: list[OnnxNode] = []
    unknown: list[str] = []
    for index, entry in enumerate(proto.node):
        attributes = {a.name: _attribute(a) for a in entry.attribute}
        node = OnnxNode(index, entry.op_type, list(entry.input), list(entry.output), attributes)
        contrib = entry.domain == "com.microsoft" and node.op in ("QuantizeLinear", "DequantizeLinear")
        if node.op not in OPERATORS or (entry.domain not in ("", "ai.onnx") and not contrib):
            unknown.append(node.where)
        elif not node.outputs or not all(node.outputs) or len(node.outputs) != 1:
            raise node.refuse("one output", f"{len(node.outputs)}")
        nodes.append(node)
    if unknown:
        known = ", ".join(sorted(OPERATORS))
        raise ConversionError(f"expected operators among {known}, found {'; '.join(unknown[:8])}; export the model without them")
    return nodes


def _attribute(attribute: Any) -> Any:
    """INT, FLOAT, STRING, TENSOR and INTS; None for others."""
    kinds = {1: "f", 2: "i", 3: "s", 4: "t", 7: "ints"}
    value: Any = getattr(attribute, kinds[attribute.type]) if attribute.type in kinds else None
    return list(value) if attribute.type == 7 else value


def input_of(proto: Any) -> tuple[str, tuple[int, ...], int]:
    """Name, shape and element type of the only input; a batch that is left open is 1."""
    weights = {entry.name for entry in proto.initializer}
    inputs = [entry for entry in proto.input if entry.name not in weights]
    if len(inputs) != 1 or len(proto.output) != 1:
        raise ConversionError(f"expected 1 input and 1 output, found {len(inputs)} and {len(proto.output)}; export it so")
    kind = inputs[0].type.tensor_type
    dims = [entry.dim_value for entry in kind.shape.dim]
    if dims and dims[0] == 0:
        dims[0] = 1
    shape = tuple(dims)
    if not 1 <= len(shape) <= 4 or min(shape) < 1 or shape[0] != 1 or math.prod(shape) > MAX_ELEMENTS or kind.elem_type not in (1, 2, 3):
        found = f"type {kind.elem_type}, shape {shape}"
        raise ConversionError(
            f"input {inputs[0].name[:60]}: expected float32, int8 or uint8 of a fixed shape, batch 1, found {found}; export it so"
        )
    return inputs[0].name, shape, kind.elem_type


def array_of(where: str, proto: Any) -> NDArray[Any]:
    """The content of a TensorProto, checked."""
    dims = tuple(proto.dims)
    if proto.data_type not in _TYPES or proto.data_location != 0:
        found = "external data" if proto.data_location else f"type {proto.data_type}"
        raise ConversionError(f"{where}: expected float32, int8, uint8, int32 or int64 inside the file, found {found}; export it so")
    try:
        data: NDArray[Any] = import_module("onnx.numpy_helper").to_array(proto)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ConversionError(f"{where}: expected content of shape {dims[:8]}, found: {str(error)[:80]}; export again") from None
    if data.shape != dims or data.dtype != _TYPES[proto.data_type] or data.size > MAX_ELEMENTS:
        raise ConversionError(f"{where}: expected content of shape {dims[:8]}, found {data.shape}; export the model again")
    return data
