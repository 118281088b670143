"""Float against int8, layer by layer."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.frontend import FrontendConfig


@dataclass(frozen=True)
class LayerError:
    """Signal-to-quantisation-noise of one layer's output, in dB; higher is better."""

    index: int
    operator: str
    shape: tuple[int, ...]
    sqnr_db: float


def compare_layers(float_model: bytes, int8_model: bytes, windows: NDArray[np.int8], frontend: FrontendConfig) -> list[LayerError]:
    """Runs both TFLite models on int8 features (windows, frames, mel_bins) and compares each convolution's output.

    The float model is the same Keras model converted without quantisation: the n-th convolution of one is the n-th of the other.
    """
    reals = ((windows.astype(np.float32) + 128) * np.float32(frontend.input_scale))[..., np.newaxis]
    exact = _outputs(float_model, reals)
    rough = _outputs(int8_model, windows[..., np.newaxis])
    rows: list[LayerError] = []
    for index, ((operator, expected), (_, found)) in enumerate(zip(exact, rough, strict=True)):
        noise = float(np.square(expected - found).sum())
        sqnr = 10 * np.log10(float(np.square(expected).sum()) / noise) if noise > 0 else np.inf
        rows.append(LayerError(index, operator, expected.shape[1:], float(sqnr)))
    return rows


def _outputs(model: bytes, inputs: NDArray[Any]) -> list[tuple[str, NDArray[np.float32]]]:
    """(operator, dequantised output (windows, ...)) of each convolution, in order."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    operators = [op for op in interpreter._get_ops_details() if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    collected: list[list[NDArray[np.float32]]] = [[] for _ in operators]
    for window in inputs:
        interpreter.set_tensor(source, window[np.newaxis])
        interpreter.invoke()
        for rows, operator in zip(collected, operators, strict=True):
            index = operator["outputs"][0]
            scale, zero_point = details[index]["quantization"]
            value = interpreter.get_tensor(index).astype(np.float32)
            rows.append((value - zero_point) * scale if scale else value)
    return [(op["op_name"], np.concatenate(rows)) for op, rows in zip(operators, collected, strict=True)]
