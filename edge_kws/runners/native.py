"""Runs a model as the C that boards run, compiled (see native_library.py).

Streaming where the model allows it: each step computes only its new rows, and every byte is that of whole windows.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ModelError
from edge_kws.native import address
from edge_kws.runners import ModelStream
from edge_kws.runners.native_library import host_model, load
from edge_kws.runners.window_stream import WindowStream


class NativeRunner:
    """A whole-window int8 model as compiled C; use one runner per thread.

    Args:
        model: TFLite flatbuffer; input (1, frames, mel_bins[, 1]) int8, output of `classes` elements int8.
        stride: frames between windows; `scan` and `stream` are fast for this one, and exact for any.

    Raises:
        NoCompilerError: no C compiler, and the model did not come in the wheel.
        ConversionError: a model that the compiler refuses.
        ModelError: the C does not compile here.
    """

    def __init__(self, model: bytes, stride: int = 1) -> None:
        compiled = host_model(model, stride)
        program = compiled.program
        ring = program.input
        if program.output.rows != 1 or program.layers[0].shape:
            raise ModelError("model: expected time on the input's axis 1 and one output, found others; export a whole-window classifier")
        self.input_shape: tuple[int, int] = (ring.rows, ring.row_bytes)
        self.classes: int = program.output.row_bytes
        self.streams = program.stride > 0
        self._stride = stride
        self._library = load(compiled)
        self._library.ekws_host_state_bytes.restype = ctypes.c_size_t
        if self.streams:
            self._push = self._library.ekws_host_push
            self._push.argtypes, self._push.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p), ctypes.c_size_t
        self._state = ctypes.create_string_buffer(self._library.ekws_host_state_bytes())

    def run(self, window: NDArray[np.int8]) -> NDArray[np.int8]:
        """One window (window_frames, mel_bins) int8 -> posteriors (classes,) int8."""
        if window.shape != self.input_shape or window.dtype != np.int8:
            found = f"{window.dtype} {window.shape}"
            raise ModelError(
                f"model window: expected int8 {self.input_shape}, found {found}; use the front end this model was trained with"
            )
        return self._windows(np.ascontiguousarray(window), 1, 1)[0]

    def scan(self, features: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
        """Posteriors (windows, classes) int8 of the windows that start at frames 0, stride, 2 * stride, ...

        Raises:
            ModelError: features of another type or shape, or stride < 1.
        """
        frames, bins = self.input_shape
        if features.ndim != 2 or features.shape[1] != bins or features.dtype != np.int8 or stride < 1:
            found = f"{features.dtype} {features.shape}, stride {stride}"
            raise ModelError(
                f"model scan: expected int8 (frames, {bins}), stride >= 1, found {found}; use the front end this model was trained with"
            )
        windows = max(0, (len(features) - frames) // stride + 1)
        rows = np.ascontiguousarray(features)
        if not self.streams or stride != self._stride:
            return self._windows(rows, windows, stride)
        self._library.ekws_host_reset(self._state)
        return self.push(self._state, rows)[:windows]

    def stream(self, stride: int) -> ModelStream:
        """A stream whose windows start `stride` frames apart."""
        if self.streams and stride == self._stride:
            return _NativeStream(self, stride)
        return WindowStream(self.run, self.input_shape, self.classes, stride)

    def new_state(self) -> Any:
        """The state of another stream, reset."""
        state = ctypes.create_string_buffer(len(self._state))
        self._library.ekws_host_reset(state)
        return state

    def push(self, state: Any, rows: NDArray[np.int8]) -> NDArray[np.int8]:
        """Contiguous rows (n, mel_bins) int8 into a stream's state -> the outputs they complete."""
        outputs = np.empty((len(rows) // self._stride + 1, self.classes), np.int8)
        return outputs[: self._push(state, address(rows), len(rows), address(outputs))]

    def _windows(self, rows: NDArray[np.int8], count: int, step: int) -> NDArray[np.int8]:
        outputs = np.empty((count, self.classes), np.int8)
        if not self.streams:
            sizes = ctypes.c_size_t(count), ctypes.c_size_t(step)
            self._library.ekws_host_run(self._state, rows.ctypes.data_as(ctypes.c_void_p), *sizes, outputs.ctypes.data_as(ctypes.c_void_p))
            return outputs
        for i in range(count):
            self._library.ekws_host_reset(self._state)
            outputs[i] = self.push(self._state, rows[i * step : i * step + self.input_shape[0]])[0]
        return outputs


class _NativeStream:
    """Rows go straight into the compiled model, which may know an output a few rows before its window ends: it waits here."""

    def __init__(self, runner: NativeRunner, stride: int) -> None:
        self._runner, self._stride = runner, stride
        self.reset()

    def reset(self) -> None:
        """Forgets all features."""
        self._state = self._runner.new_state()
        self._early = np.zeros((0, self._runner.classes), np.int8)
        self._frames = self._given = 0

    def process(self, features: NDArray[np.int8]) -> NDArray[np.int8]:
        """Features (frames, mel_bins) int8 -> posteriors (n, classes) int8."""
        made = self._runner.push(self._state, np.ascontiguousarray(features))
        if len(self._early):
            made = np.concatenate([self._early, made])
        self._frames += len(features)
        due = max(0, (self._frames - self._runner.input_shape[0]) // self._stride + 1) - self._given
        self._given += due
        self._early = made[due:]
        return made[:due]
