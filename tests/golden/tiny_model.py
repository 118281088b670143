"""Small int8 models and packs for tests, built as flatbuffers directly: milliseconds, no TensorFlow, the same bytes every time."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from edge_kws.decoder import DecoderConfig
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import DataSource, Golden, Measurement, Pack, Provenance, build_pack

schema: Any = import_module("ai_edge_litert.schema_py_generated")  # its own annotations do not fit its own use

LABELS = ("_silence_", "_unknown_", "yes", "no")
FRONTEND = FrontendConfig(mel_bins=10)
FRAMES = 13


def tiny_model(
    *,
    frames: int = FRAMES,
    bins: int = FRONTEND.mel_bins,
    classes: int = len(LABELS),
    input_scale: float = FRONTEND.input_scale,
    step: int = 1,
    stretchable: bool = True,
    padded: bool = False,
    channel_axis: bool = True,
    edit: Callable[[Any], None] | None = None,
) -> bytes:
    """CONV_2D (relu, stride `step` in time) -> CONV_2D over what is left of time -> RESHAPE -> SOFTMAX, random int8 weights.

    Args:
        frames: time steps of the input (1, frames, bins[, 1]).
        bins: mel bins.
        classes: outputs.
        input_scale: quantisation scale of the input.
        step: time stride of the graph.
        stretchable: reshape to (-1, classes), so that a longer input gives more rows; else to (1, classes).
        padded: SAME padding in time: a longer input gives more rows, but other ones than single windows.
        channel_axis: whether the input has a last axis of 1.
        edit: called with the ModelT before it is packed, to spoil something.
    """
    rng = np.random.default_rng(frames * bins + classes)
    net = _Net()
    shape = [1, frames, bins, 1] if channel_axis else [1, frames, bins]
    source = net.tensor("features", shape, schema.TensorType.INT8, input_scale, -128)
    image = source
    if not channel_axis:
        image = net.tensor("image", [1, frames, bins, 1], schema.TensorType.INT8, input_scale, -128)
        net.reshape(source, image, [1, -1, bins, 1])
    kernel, width = (3, 1) if padded else (4, bins)
    left = -(-frames // step) if padded else (frames - kernel) // step + 1
    hidden = net.tensor("hidden", [1, left, bins if padded else 1, 6], schema.TensorType.INT8, 0.05, -128)
    net.conv(rng, image, hidden, (6, kernel, width, 1), step=step, gain=0.004, padded=padded, relu=True)
    logits = net.tensor("logits", [1, 1, 1, classes], schema.TensorType.INT8, 0.08, 3)
    net.conv(rng, hidden, logits, (classes, left, bins if padded else 1, 6), step=1, gain=0.0007)
    flat = net.tensor("flat", [1, classes], schema.TensorType.INT8, 0.08, 3)
    net.reshape(logits, flat, [-1 if stretchable else 1, classes])
    result = net.tensor("posteriors", [1, classes], schema.TensorType.INT8, 1 / 256, -128)
    net.softmax(flat, result)
    return net.finish(source, result, edit)


def waveform_model(samples: int, classes: int) -> bytes:
    """A float model (1, samples) -> FULLY_CONNECTED -> SOFTMAX (1, classes): the kind MediaPipe's AudioClassifier takes."""
    rng = np.random.default_rng(samples)
    net = _Net()
    source = net.tensor("waveform", [1, samples], schema.TensorType.FLOAT32)
    weights = net.tensor(
        "weights", [classes, samples], schema.TensorType.FLOAT32, data=rng.normal(0, 0.1, (classes, samples)).astype(np.float32)
    )
    bias = net.tensor("bias", [classes], schema.TensorType.FLOAT32, data=np.zeros(classes, np.float32))
    logits = net.tensor("logits", [1, classes], schema.TensorType.FLOAT32)
    options = schema.FullyConnectedOptionsT()
    net.operator(
        schema.BuiltinOperator.FULLY_CONNECTED, [source, weights, bias], logits, schema.BuiltinOptions.FullyConnectedOptions, options
    )
    result = net.tensor("posteriors", [1, classes], schema.TensorType.FLOAT32)
    net.softmax(logits, result)
    return net.finish(source, result, None)


def float_model(frames: int = FRAMES, bins: int = FRONTEND.mel_bins, classes: int = len(LABELS)) -> bytes:
    """A float model (1, frames, bins, 1) -> RESHAPE -> FULLY_CONNECTED -> SOFTMAX (1, classes), random weights."""
    rng = np.random.default_rng(frames)
    net = _Net()
    source = net.tensor("features", [1, frames, bins, 1], schema.TensorType.FLOAT32)
    flat = net.tensor("flat", [1, frames * bins], schema.TensorType.FLOAT32)
    net.reshape(source, flat, [1, frames * bins])
    weights = rng.normal(0, 0.01, (classes, frames * bins)).astype(np.float32)
    data = [
        net.tensor("weights", [classes, frames * bins], schema.TensorType.FLOAT32, data=weights),
        net.tensor("bias", [classes], schema.TensorType.FLOAT32, data=np.zeros(classes, np.float32)),
    ]
    logits = net.tensor("logits", [1, classes], schema.TensorType.FLOAT32)
    options = schema.FullyConnectedOptionsT()
    net.operator(schema.BuiltinOperator.FULLY_CONNECTED, [flat, *data], logits, schema.BuiltinOptions.FullyConnectedOptions, options)
    result = net.tensor("posteriors", [1, classes], schema.TensorType.FLOAT32)
    net.softmax(logits, result)
    return net.finish(source, result, None)


def features(windows: int, frames: int = FRAMES, bins: int = FRONTEND.mel_bins) -> NDArray[np.int8]:
    """Random feature windows (windows, frames, bins) int8 of speech-like range."""
    values = np.random.default_rng(windows).normal(-40, 50, (windows, frames, bins))
    return np.clip(np.rint(values), -128, 127).astype(np.int8)


def tiny_pack(model: bytes | None = None, **changes: Any) -> Pack:
    """A complete pack around `tiny_model`; `changes` replace arguments of build_pack."""
    model = tiny_model() if model is None else model
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1.2.3",
        "description": "Random weights that detect nothing.",
        "task": "keywords",
        "labels": LABELS,
        "frontend": FRONTEND,
        "decoder": DecoderConfig(thresholds=(None, None, 0.6, 0.75), average_window=3, min_consecutive=2, refractory_steps=50),
        "inference_stride_hops": 2,
        "parameters": 490,
        "macs_per_window": 2_640,
        "macs_per_hop": 240.0,
        "quality": [
            Measurement(
                name="top1",
                value=0.9312,
                interval=(0.925, 0.937),
                interval_kind="wilson",
                count=4890,
                data="test split",
                runner="BUILTIN_REF",
            ),
            Measurement(
                name="false accepts per hour", value=0.4, interval=(0.05, 1.44), interval_kind="poisson", count=2, data="radio", runner="C"
            ),
            Measurement(name="size", value=4.0, data="this file", runner="none", note="cannot claim more: 5 h of audio"),
        ],
        "ledger": [
            DataSource(
                name="Speech Commands v0.02", use="train", license="CC BY 4.0", source="https://example.org/sc", clips=84843, hours=23.5
            ),
            DataSource(name="radio", use="evaluation", license="CC0", source="recorded here", note="5 h"),
        ],
        "license": "Apache-2.0",
        "recipe": '# how it was trained\nname = "tiny"\n[student]\nkind = "ds_cnn"\n',
        "provenance": Provenance(
            commit="0" * 40, seed=7, created="2025-01-02T03:04:05Z", tool_versions={"python": "3.11.7", "keras": "3.15.1"}
        ),
        **changes,
    }
    golden = fields.pop("golden", None) or Golden.record(model, features(3))
    return build_pack(model, golden, **fields)


class _Net:
    """Collects tensors and operators of one subgraph."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[int] = []
        self._buffers: list[Any] = [schema.BufferT()]

    def tensor(
        self, name: str, shape: Sequence[int], kind: int, scale: Any = None, zero_point: int = 0, data: NDArray[Any] | None = None
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, 0
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale)]
            tensor.quantization.zeroPoint = [zero_point]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, options_type: int, options: Any) -> None:
        if code not in self._codes:
            self._codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._codes.index(code), inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self._operators.append(operator)

    def conv(
        self,
        rng: np.random.Generator,
        source: int,
        result: int,
        shape: tuple[int, ...],
        *,
        step: int,
        gain: float,
        padded: bool = False,
        relu: bool = False,
    ) -> None:
        """`gain` is the requantisation multiplier: output steps per accumulator step."""
        source_scale, result_scale = (self._tensors[i].quantization.scale[0] for i in (source, result))
        weight_scale = gain * result_scale / source_scale
        int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
        weights = self.tensor("weights", shape, int8, weight_scale, 0, rng.integers(-127, 128, shape).astype(np.int8))
        bias = self.tensor("bias", [shape[0]], int32, weight_scale * source_scale, 0, rng.integers(-3000, 3000, shape[0]).astype(np.int32))
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME if padded else schema.Padding.VALID
        options.strideH, options.strideW = step, 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU if relu else schema.ActivationFunctionType.NONE
        self.operator(schema.BuiltinOperator.CONV_2D, [source, weights, bias], result, schema.BuiltinOptions.Conv2DOptions, options)

    def reshape(self, source: int, result: int, shape: list[int]) -> None:
        target = self.tensor("shape", [len(shape)], schema.TensorType.INT32, data=np.array(shape, np.int32))
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        self.operator(schema.BuiltinOperator.RESHAPE, [source, target], result, schema.BuiltinOptions.ReshapeOptions, options)

    def softmax(self, source: int, result: int) -> None:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.operator(schema.BuiltinOperator.SOFTMAX, [source], result, schema.BuiltinOptions.SoftmaxOptions, options)

    def finish(self, source: int, result: int, edit: Callable[[Any], None] | None) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = b"main", self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = [source], [result]
        model = schema.ModelT()
        model.version, model.description, model.subgraphs, model.buffers = 3, b"tiny", [subgraph], self._buffers
        model.operatorCodes = []
        for code in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = 3 if code in (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.SOFTMAX) else 1
            model.operatorCodes.append(entry)
        if edit is not None:
            edit(model)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
