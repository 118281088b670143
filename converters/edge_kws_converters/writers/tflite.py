"""Graph -> TFLite flatbuffer: the form that LiteRT runs, packs carry and every other writer takes. For ONNX and unrolled graphs."""

from importlib import import_module
from typing import Any

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph, Node, Tensor

_ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
_OPERATORS: dict[str, tuple[int, int, str]] = {
    "add": (0, 2, "Add"),
    "average_pool_2d": (1, 2, "Pool2D"),
    "concatenation": (2, 2, "Concatenation"),
    "conv_2d": (3, 3, "Conv2D"),
    "depthwise_conv_2d": (4, 3, "DepthwiseConv2D"),
    "fully_connected": (9, 4, "FullyConnected"),
    "logistic": (14, 2, ""),
    "max_pool_2d": (17, 2, "Pool2D"),
    "mul": (18, 2, "Mul"),
    "relu": (19, 2, ""),
    "relu_n1_to_1": (20, 1, ""),
    "relu6": (21, 2, ""),
    "reshape": (22, 1, "Reshape"),
    "softmax": (25, 2, "Softmax"),
    "tanh": (28, 2, ""),
    "pad": (34, 2, "Pad"),
    "mean": (40, 2, "Reducer"),
    "sub": (41, 2, "Sub"),
    "strided_slice": (45, 2, "StridedSlice"),
    "split_v": (102, 2, "SplitV"),
    "quantize": (114, 2, "Quantize"),
}
"""Graph operator -> builtin code, version with int8, options table."""


def write_tflite(graph: Graph) -> bytes:
    """The flatbuffer of an int8 graph. Raises ConversionError for operators that it has no row for."""
    schema: Any = import_module("ai_edge_litert.schema_py_generated")
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description, model.subgraphs, model.buffers = 3, b"edge_kws", [subgraph], [schema.BufferT()]
    codes = sorted({node.op for node in graph.nodes})
    unknown = [graph.where(node) for node in graph.nodes if node.op not in _OPERATORS]
    if unknown:
        raise ConversionError(f"{graph.name}: expected operators among {', '.join(_OPERATORS)}, found {unknown[0]}; export it without")
    model.operatorCodes = [_code(schema, op) for op in codes]
    subgraph.name, subgraph.inputs, subgraph.outputs = b"main", graph.inputs, graph.outputs
    subgraph.tensors = [_tensor(schema, model, tensor) for tensor in graph.tensors]
    subgraph.operators = [_operator(schema, graph, node, codes) for node in graph.nodes]
    from edge_kws.flatbuffer_builder import packed_model

    return packed_model(model)


def _code(schema: Any, op: str) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.version, _ = _OPERATORS[op]
    entry.deprecatedBuiltinCode = entry.builtinCode
    return entry


def _tensor(schema: Any, model: Any, tensor: Tensor) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.buffer = tensor.name.encode(), list(tensor.shape), 0
    made.type = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}[tensor.dtype]
    if tensor.quantization is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = [float(scale) for scale in tensor.quantization.scales]
        made.quantization.zeroPoint = [int(zero) for zero in tensor.quantization.zero_points]
        made.quantization.quantizedDimension = tensor.quantization.axis
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = list(tensor.data.tobytes())
        model.buffers.append(buffer)
        made.buffer = len(model.buffers) - 1
    return made


def _operator(schema: Any, graph: Graph, node: Node, codes: list[str]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = codes.index(node.op), node.inputs, node.outputs
    name = _OPERATORS[node.op][2]
    if not name:
        return made
    options = getattr(schema, f"{name}OptionsT")()
    made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, f"{name}Options"), options
    if hasattr(options, "fusedActivationFunction"):
        options.fusedActivationFunction = _ACTIVATIONS[node.activation]
    if node.op == "reshape":
        options.newShape = list(graph.tensors[node.outputs[0]].shape)
    if node.op == "concatenation":
        options.axis = node.options["axis"]
    if node.op == "strided_slice":
        options.beginMask, options.endMask = node.options["begin_mask"], node.options["end_mask"]
    if node.op == "split_v":
        options.numSplits = len(node.outputs)
    if node.op == "softmax":
        options.beta = node.options["beta"]
    if node.op == "mean":
        options.keepDims = node.options["keep_dims"]
    if node.window is not None:
        window = node.window
        options.padding, (options.strideH, options.strideW) = int(not window.same), window.stride
        if name == "Pool2D":
            options.filterHeight, options.filterWidth = window.kernel
        else:
            options.dilationHFactor, options.dilationWFactor = window.dilation
    if node.op == "depthwise_conv_2d":
        options.depthMultiplier = graph.tensors[node.outputs[0]].shape[3] // graph.tensors[node.inputs[0]].shape[3]
    return made
