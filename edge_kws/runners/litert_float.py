"""Runs the float model a pack was quantised from, to compare the two."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ModelError
from edge_kws.runners.litert import runtime

SUFFIX = ".float.tflite"


def float_model_beside(pack: Path | None) -> Path | None:
    """Where training leaves the float model of NAME.tflite: NAME.float.tflite beside it; None where there is none."""
    beside = None if pack is None else pack.with_name(pack.stem + SUFFIX)
    return beside if beside is not None and beside.is_file() else None


class LiteRtFloatRunner:
    """A float TFLite model: windows (N, frames, mel_bins) float32 -> posteriors or logits (N, classes) float32.

    Args:
        path: float .tflite, input (1, frames, mel_bins) or (1, frames, mel_bins, 1) float32, output of `classes` elements float32.
        input_shape: (frames, mel_bins) of the pack it is compared with.
        classes: outputs of that pack.

    Raises:
        ModelError: a file that cannot be read, is not a TFLite model, or does not fit the pack.
    """

    def __init__(self, path: Path, input_shape: tuple[int, int], classes: int) -> None:
        interpreters = runtime()
        try:
            model = path.read_bytes()
            kind = interpreters.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            self._interpreter: Any = interpreters.Interpreter(model_content=model, experimental_op_resolver_type=kind)
            self._interpreter.allocate_tensors()
        except OSError as error:
            raise ModelError(f"{path}: expected a float .tflite, found: {error.strerror}; check the path") from None
        except (ValueError, RuntimeError) as error:
            found = " ".join(str(error).split())[:200]
            raise ModelError(f"{path}: expected a float .tflite, found: {found}; give the model the pack was quantised from") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        expected = f"float32 (1, {input_shape[0]}, {input_shape[1]}[, 1]) to float32 of {classes} classes"
        tensors = [*inputs, *outputs]
        fits = len(tensors) == 2 and all(tensor["dtype"] is np.float32 for tensor in tensors)
        fits = fits and tuple(inputs[0]["shape"]) in ((1, *input_shape), (1, *input_shape, 1)) and math.prod(outputs[0]["shape"]) == classes
        if not fits:
            found = " to ".join(f"{np.dtype(tensor['dtype'])} {tuple(map(int, tensor['shape']))}" for tensor in tensors)
            raise ModelError(f"{path}: expected {expected}, found {found}; give the float model of the same network")
        self._input, self._output = inputs[0], outputs[0]["index"]

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """One inference a window."""
        return np.stack([self._invoke(window) for window in windows])

    def _invoke(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input["index"], window.reshape(self._input["shape"]))
        self._interpreter.invoke()
        output: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return output.reshape(-1)
