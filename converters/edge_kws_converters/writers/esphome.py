"""A wake-word pack as ESPHome's micro_wake_word takes it: a streaming TFLite with one uint8 posterior, and its manifest (version 2).

ESPHome computes the features itself, runs the operators below and no other, averages the posteriors of the last calls and fires above
a cutoff. A pack that means anything else is refused. Sources: esphome/components/micro_wake_word (streaming_model.cpp, __init__.py).
"""

import json
import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws.flatbuffer_builder import packed_model
from edge_kws.pack import Pack
from edge_kws_converters.foreign import ESPHOME_FRONTEND
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming

_OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    22: "RESHAPE",
    34: "PAD",
    40: "MEAN",
    45: "STRIDED_SLICE",
    83: "PACK",
    102: "SPLIT_V",
    114: "QUANTIZE",
    129: "CALL_ONCE",
    142: "VAR_HANDLE",
    143: "READ_VARIABLE",
    144: "ASSIGN_VARIABLE",
}
_RESHAPE, _SOFTMAX, _LOGISTIC, _FULLY_CONNECTED, _QUANTIZE, _CALL_ONCE, _VAR_HANDLE, _READ_VARIABLE = 22, 25, 14, 9, 114, 129, 142, 143
_MAX_VARIABLES = 20
_OLDEST_ESPHOME = "2024.7.0"
_SIGMOID_RANGE = 8.0
"""Beyond, a sigmoid is 0 or 1 in 1/256."""
_TENSOR_BYTES, _OPERATOR_BYTES, _ALIGNMENT = 32, 192, 16


def write_esphome(pack: Pack) -> dict[str, bytes]:
    """NAME.tflite and NAME.json by file name.

    The posterior is the pack's in steps of 1/256; a two-class softmax becomes the sigmoid of the difference of its logits, which may be
    a few steps off where it is steep.

    Raises:
        ConversionError: a pack that ESPHome cannot run or would run otherwise; says what to train instead.
    """
    wake = _wake_class(pack)
    _check_frontend(pack)
    model = _Model(pack, wake)
    name = pack.info.name
    manifest: dict[str, Any] = {
        "type": "micro",
        "wake_word": pack.labels[wake],
        "author": f"{name} {pack.info.version}, exported by edge_kws; licence of the weights: {pack.info.license}",
        "model": f"{name}.tflite",
        "trained_languages": [],
        "version": 2,
        "micro": {
            "probability_cutoff": _cutoff(pack, wake),
            "sliding_window_size": pack.decoder.average_window,
            "feature_step_size": pack.frontend.hop_ms,
            "tensor_arena_size": model.arena_bytes(),
            "minimum_esphome_version": _OLDEST_ESPHOME,
        },
    }
    return {f"{name}.tflite": model.packed(), f"{name}.json": json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"}


def _wake_class(pack: Pack) -> int:
    able = [i for i, threshold in enumerate(pack.decoder.thresholds) if threshold is not None]
    if len(able) != 1 or len(pack.labels) > 2:
        found = f"{len(pack.labels)} labels, of which {len(able)} can fire"
        raise ConversionError(f"{pack.where}: esphome: expected one wake word, alone or against one other label, found {found}; train one")
    if pack.decoder.min_consecutive != 1:
        found = pack.decoder.min_consecutive
        step = "train it with min_consecutive = 1 and a longer average_window"
        raise ConversionError(
            f"{pack.where}: esphome: expected a decoder that fires at the first average, found min_consecutive {found}; {step}"
        )
    return able[0]


def _check_frontend(pack: Pack) -> None:
    found, wanted = pack.frontend.to_dict(), ESPHOME_FRONTEND.to_dict()
    differ = [key for key in wanted if found[key] != wanted[key]]
    if differ:
        expected = ", ".join(f"{key} {_toml(wanted[key])}" for key in differ)
        has = ", ".join(f"{key} {_toml(found[key])}" for key in differ)
        step = "train with [frontend] " + ", ".join(f"{key} = {_toml(wanted[key])}" for key in differ)
        raise ConversionError(f"{pack.where}: esphome computes its own features: expected {expected}, found {has}; {step} in the recipe")


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cutoff(pack: Pack, wake: int) -> float:
    """ESPHome fires above its cutoff, a pack at its threshold: half a step of the sum below the first sum that fires."""
    threshold = pack.decoder.thresholds[wake]
    assert threshold is not None  # `_wake_class` chose it
    steps = 256 * pack.decoder.average_window
    return max(0.0, math.ceil(threshold * steps - 1e-6) - 0.5) / steps


class _Model:
    """The streaming model's object tree, with (1, stride, bins) int8 in and (1, 1) uint8 out."""

    def __init__(self, pack: Pack, wake: int) -> None:
        self._schema: Any = import_module("ai_edge_litert.schema_py_generated")
        self._where = f"{pack.where}: esphome"
        streaming = write_tflite_streaming(pack.model, pack.inference_stride_hops, pack.info.name)
        self._model: Any = self._schema.ModelT.InitFromPackedBuf(streaming, 0)
        self._main: Any = self._model.subgraphs[0]
        self._flatten_input()
        self._replace_head(wake)
        self._check_operators()

    def packed(self) -> bytes:
        """The flatbuffer."""
        return packed_model(self._model)

    def arena_bytes(self) -> int:
        """RAM for TFLM, rounded up to KiB: the tensors alive at once and a quarter, the past, and what is kept of operators and tensors.

        Sized for TFLM on 64 bit; an ESP32 needs about half of what is kept. A test holds it against TFLM.
        """
        last: dict[int, int] = {tensor: len(self._main.operators) for tensor in self._main.outputs}
        operators: list[Any] = self._main.operators
        for at, operator in reversed(list(enumerate(operators))):
            inputs: list[Any] = list(operator.inputs)
            for tensor in inputs:
                last.setdefault(int(tensor), at)
        alive = {int(tensor) for tensor in self._main.inputs}
        peak = past = 0
        for at, operator in enumerate(self._main.operators):
            alive.update(int(tensor) for tensor in operator.outputs)
            peak = max(peak, sum(self._activation_bytes(tensor) for tensor in alive))
            alive = {tensor for tensor in alive if last.get(tensor, at) > at}
            if self._code_of(operator) == _READ_VARIABLE:
                past += self._activation_bytes(int(operator.outputs[0]))
        channels = sum(
            8 * len(t.quantization.scale) for t in self._main.tensors if t.quantization is not None and t.quantization.scale is not None
        )
        kept = _TENSOR_BYTES * len(self._main.tensors) + _OPERATOR_BYTES * len(self._main.operators) + channels
        return -(-(peak * 5 // 4 + past + kept) // 1024) * 1024

    def _activation_bytes(self, tensor: int) -> int:
        found = self._main.tensors[tensor]
        data = self._model.buffers[found.buffer].data if found.buffer else None
        if data is not None and len(data):
            return 0
        size = math.prod(int(n) for n in found.shape) if found.shape is not None else 1
        return -(-size // _ALIGNMENT) * _ALIGNMENT

    def _flatten_input(self) -> None:
        source = self._main.inputs[0]
        tensor = self._main.tensors[source]
        if len(tensor.shape) == 3:
            return
        flat = self._tensor([int(size) for size in tensor.shape[:3]], self._schema.TensorType.INT8, tensor.quantization)
        options = self._schema.ReshapeOptionsT()
        options.newShape = [int(size) for size in tensor.shape]
        reshape = self._operator(_RESHAPE, 1, [flat, self._constant(np.array(tensor.shape, np.int32))], source, options)
        self._main.inputs = [flat]
        after_initialisation = sum(self._code_of(operator) == _CALL_ONCE for operator in self._main.operators)
        self._main.operators.insert(after_initialisation, reshape)

    def _replace_head(self, wake: int) -> None:
        """... -> softmax becomes ... -> difference of the logits -> logistic; and the posterior becomes uint8."""
        result = self._main.outputs[0]
        (maker,) = [operator for operator in self._main.operators if result in list(operator.outputs)]
        code, shape = self._code_of(maker), [int(size) for size in self._main.tensors[result].shape]
        if code == _SOFTMAX and shape == [1, 2]:
            self._main.operators.remove(maker)
            result = self._sigmoid(int(maker.inputs[0]), wake)
        elif code != _LOGISTIC or shape != [1, 1]:
            expected = "a softmax of two classes or one logistic at the end"
            raise ConversionError(f"{self._where}: expected {expected}, found operator {code} of shape {shape}; train it so")
        self._main.outputs = [self._tensor([1, 1], self._schema.TensorType.UINT8, self._scaled(1 / 256, 0))]
        self._main.operators.append(self._operator(_QUANTIZE, 2, [result], self._main.outputs[0], self._schema.QuantizeOptionsT()))

    def _sigmoid(self, logits: int, wake: int) -> int:
        schema = self._schema
        scale = float(self._main.tensors[logits].quantization.scale[0])
        signs = np.where(np.arange(2) == wake, 127, -127).astype(np.int8).reshape(1, 2)
        weights = self._constant(signs, self._scaled(1 / 127, 0))
        bias = self._constant(np.zeros(1, np.int32), self._scaled(scale / 127, 0))
        difference = self._tensor([1, 1], schema.TensorType.INT8, self._scaled(min(2 * scale, _SIGMOID_RANGE / 127), 0))
        options = schema.FullyConnectedOptionsT()
        self._main.operators.append(self._operator(_FULLY_CONNECTED, 4, [logits, weights, bias], difference, options))
        posterior = self._tensor([1, 1], schema.TensorType.INT8, self._scaled(1 / 256, -128))
        self._main.operators.append(self._operator(_LOGISTIC, 2, [difference], posterior, None))
        return posterior

    def _check_operators(self) -> None:
        codes = [self._code_of(operator) for graph in self._model.subgraphs for operator in graph.operators]
        other = sorted(set(codes) - _OPERATORS.keys())
        if other:
            builtin: Any = self._schema.BuiltinOperator
            found = ", ".join(name for name in dir(builtin) if getattr(builtin, name) in other)
            raise ConversionError(
                f"{self._where}: expected operators among {', '.join(sorted(_OPERATORS.values()))}, found {found}; train without"
            )
        variables = sum(self._code_of(operator) == _VAR_HANDLE for operator in self._main.operators)
        if variables > _MAX_VARIABLES:
            raise ConversionError(
                f"{self._where}: expected at most {_MAX_VARIABLES} layers with a past, found {variables}; train fewer layers"
            )

    def _code_of(self, operator: Any) -> int:
        entry = self._model.operatorCodes[operator.opcodeIndex]
        return max(entry.builtinCode, entry.deprecatedBuiltinCode)

    def _operator(self, code: int, version: int, inputs: list[int], output: int, options: Any) -> Any:
        entry = self._schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.deprecatedBuiltinCode, entry.version = min(code, 127), version
        self._model.operatorCodes.append(entry)
        operator = self._schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self._model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        return operator

    def _scaled(self, scale: float, zero_point: int) -> Any:
        quantization = self._schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [np.float32(scale)], [zero_point]
        return quantization

    def _constant(self, values: NDArray[Any], quantization: Any = None) -> int:
        kind = self._schema.TensorType.INT32 if values.dtype == np.int32 else self._schema.TensorType.INT8
        index = self._tensor(list(values.shape), kind, quantization)
        self._model.buffers[self._main.tensors[index].buffer].data = np.frombuffer(values.tobytes(), np.uint8)
        return index

    def _tensor(self, shape: list[int], kind: int, quantization: Any) -> int:
        self._model.buffers.append(self._schema.BufferT())
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.quantization = b"", shape, kind, quantization
        tensor.buffer = len(self._model.buffers) - 1
        self._main.tensors.append(tensor)
        return len(self._main.tensors) - 1
