"""What LiteRT's reference kernels make of a model: the definition of right, for golden vectors and tests."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph, Quantization


class Reference:
    """A model in LiteRT with BUILTIN_REF kernels, between its int8 edges.

    Args:
        model: TFLite flatbuffer.
        graph: the cleaned graph of the same model; says which tensors its int8 edges are.

    Raises:
        ConversionError: LiteRT is not installed or refuses the model.
    """

    def __init__(self, model: bytes, graph: Graph) -> None:
        try:
            runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
            self._interpreter = runtime.Interpreter(
                model_content=model,
                experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
            )
            self._interpreter.allocate_tensors()
        except (ImportError, ValueError, RuntimeError) as error:
            found = " ".join(str(error).split())[:200]
            raise ConversionError(f"{graph.name}: golden vectors: expected LiteRT to run the model, found: {found}") from None
        self._entry: dict[str, Any] = self._interpreter.get_input_details()[0]
        self._quantization = graph.tensors[graph.inputs[0]].quantization
        self._output = graph.outputs[0]

    def run(self, window: NDArray[np.int8]) -> NDArray[np.int8]:
        """One input, any shape of the right size, int8 -> all output elements, flat. Resource variables keep their state."""
        values: NDArray[Any] = window.reshape(self._entry["shape"])
        if self._entry["dtype"] is np.float32:
            values = _real(values, self._quantization)
        elif self._entry["dtype"] is np.uint8:
            values = (values.astype(np.int16) + 128).astype(np.uint8)
        self._interpreter.set_tensor(self._entry["index"], values)
        self._interpreter.invoke()
        output: NDArray[np.int8] = self._interpreter.get_tensor(self._output)
        return output.reshape(-1).copy()


def _real(values: NDArray[np.int8], quantization: Quantization | None) -> NDArray[np.float32]:
    assert quantization is not None
    return ((values.astype(np.float32) - quantization.zero_point) * quantization.scale).astype(np.float32)
