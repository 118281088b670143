"""Models of a few int8 operators for the compiler's tests, built as flatbuffers directly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from tests.golden.tiny_model import schema

_TYPES = {name: getattr(schema.TensorType, name.upper()) for name in ("int8", "int32", "float32", "float16", "uint8")}
_FIRST_VERSION = [getattr(schema.BuiltinOperator, name) for name in ("RESHAPE", "HARD_SWISH", "RELU_N1_TO_1", "PRELU")]
ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}


@dataclass
class OperatorModel:
    """Tensors and operators of one subgraph, appended in running order."""

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])

    def tensor(
        self,
        shape: Sequence[int],
        scale: Any = None,
        zero: int = 0,
        data: NDArray[Any] | None = None,
        axis: int = 0,
        name: str | None = None,
        dtype: str = "int8",
    ) -> int:
        """A tensor, or a constant of the data's type."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = (name or f"t{len(self.tensors)}").encode(), list(shape), 0
        tensor.type = _TYPES[dtype if data is None else data.dtype.name]
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(scale)
            tensor.quantization.scale = [float(s) for s in scales]
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def ints(self, values: Any) -> int:
        """A constant int32 tensor."""
        array = np.array(values, np.int32)
        return self.tensor(array.shape, data=array)

    def operator(self, name: str, inputs: list[int], outputs: list[int], options: Any = None) -> None:
        """Appends an operator; `options` is an options object of the schema."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(code), inputs, outputs
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        self.operators.append(operator)

    def finish(self, source: int, result: int) -> bytes:
        """The flatbuffer."""
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = b"main", self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [source], [result]
        model = schema.ModelT()
        model.version, model.description, model.subgraphs, model.buffers = 3, b"test", [subgraph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            version = 1 if code in _FIRST_VERSION else 2
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def options(name: str, **fields: Any) -> Any:
    """An options object of the schema by its name without `OptionsT`."""
    found = getattr(schema, f"{name}OptionsT")()
    for key, value in fields.items():
        setattr(found, key, value)
    return found
