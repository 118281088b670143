"""Runs a pack's model in LiteRT (ai-edge-litert, or tflite-runtime where that is all there is)."""

import importlib
import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ModelError
from edge_kws.runners import ModelStream
from edge_kws.runners.window_stream import WindowStream

_OUTPUT_SCALE, _OUTPUT_ZERO_POINT = 1 / 256, -128
_SLAB_STEPS = 1024  # rows of one stretched run: bounds its memory
_PROBE_FRAMES = 48  # divisible by every usual time stride
_PROBE_ROWS, _SLAB_ROWS = 8, 2  # rows compared with single windows, at first and in each later slab


class LiteRtRunner:
    """A whole-window int8 model in a LiteRT interpreter. Stateless between calls; use one runner per thread.

    Args:
        model: TFLite flatbuffer; input (1, frames, mel_bins) or (1, frames, mel_bins, 1) int8, output of `classes` elements int8,
            scale 1/256, zero point -128.
        reference: use the reference kernels (BUILTIN_REF), whose results are the definition of right. The optimised kernels are
            several times faster and may differ in the last bits.
        threads: threads of one inference, at least 1.

    Raises:
        ModelError: no runtime installed, or a model that does not load or does not fit.
    """

    def __init__(self, model: bytes, *, reference: bool = False, threads: int = 1) -> None:
        if threads < 1:
            raise ModelError(f"LiteRT runner: threads: expected at least 1, found {threads}; leave it at 1")
        self._graph = _Graph(model, reference, threads)
        self._stretched: _StretchedGraph | None = None
        self._try_stretching = True
        self._open_another = lambda: _Graph(model, reference, threads)
        self.input_shape: tuple[int, int] = (self._graph.shape[1], self._graph.shape[2])
        self.classes: int = self._graph.outputs

    def run(self, window: NDArray[np.int8]) -> NDArray[np.int8]:
        """One window (window_frames, mel_bins) int8 -> posteriors (classes,) int8."""
        if window.shape != self.input_shape or window.dtype != np.int8:
            found = f"{window.dtype} {window.shape}"
            raise ModelError(
                f"model window: expected int8 {self.input_shape}, found {found}; use the front end this model was trained with"
            )
        return self._graph.invoke(window)

    def stream(self, stride: int) -> ModelStream:
        """A stream whose windows start `stride` frames apart; each is run in full."""
        return WindowStream(self.run, self.input_shape, self.classes, stride)

    def scan(self, features: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
        """Posteriors of the windows that start at frames 0, stride, 2*stride, ...

        A fully convolutional model is run over many windows at once while that gives, bit for bit, what single windows give.
        That is proved on noise once and on rows of every slab of real features; single windows are run where it does not hold.

        Args:
            features: (frames, mel_bins) int8.
            stride: frames between windows, at least 1.

        Returns:
            (windows, classes) int8; windows = (frames - window_frames) // stride + 1, or 0 where frames < window_frames.

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
        if windows > _PROBE_ROWS and stride < frames and self._try_stretching:
            if self._stretched is None:
                self._stretched = _stretch(self._open_another(), self._graph)
            posteriors = None if self._stretched is None else self._stretched.scan(features, stride, windows)
            if posteriors is not None:
                return posteriors
            self._stretched, self._try_stretching = None, False
        posteriors = np.empty((windows, self.classes), np.int8)
        for i in range(windows):
            posteriors[i] = self._graph.invoke(features[i * stride : i * stride + frames])
        return posteriors


class _Graph:
    """An interpreter with its one input and one output; `shape` is the input's as exported, `outputs` the output's elements."""

    def __init__(self, model: bytes, reference: bool, threads: int) -> None:
        interpreters = runtime()
        # XNNPACK is left out: it announces itself on stderr, and of all kernels strays furthest from the reference.
        kinds = interpreters.OpResolverType
        kind = kinds.BUILTIN_REF if reference else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = interpreters.Interpreter(model_content=model, num_threads=threads, experimental_op_resolver_type=kind)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            found = " ".join(str(error).split())[:200]
            raise ModelError(f"model: expected a TFLite model that LiteRT runs, found: {found}; export it again") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"model: expected 1 input and 1 output, found {len(inputs)} and {len(outputs)}; export a whole-window classifier"
            )
        self._input, self._output = int(inputs[0]["index"]), int(outputs[0]["index"])
        self.shape: tuple[int, ...] = tuple(inputs[0]["shape"].tolist())
        self.outputs = math.prod(outputs[0]["shape"].tolist())
        self._check(inputs[0], outputs[0])

    def _check(self, source: dict[str, Any], result: dict[str, Any]) -> None:
        shape = self.shape
        if len(shape) not in (3, 4) or shape[0] != 1 or shape[3:] not in ((), (1,)) or min(shape) < 1:
            raise ModelError(
                f"model input shape: expected (1, frames, mel_bins) or (1, frames, mel_bins, 1), found {shape}; export it with batch 1"
            )
        for which, tensor in (("input", source), ("output", result)):
            if tensor["dtype"] is not np.int8:
                raise ModelError(f"model {which} type: expected int8, found {np.dtype(tensor['dtype'])}; quantise the model to full int8")
        if result["quantization"] != (_OUTPUT_SCALE, _OUTPUT_ZERO_POINT):
            expected = f"scale {_OUTPUT_SCALE}, zero point {_OUTPUT_ZERO_POINT}"
            raise ModelError(f"model output: expected {expected}, found {result['quantization']}; let it end in a softmax or logistic")

    def resize(self, frames: int) -> None:
        """Changes the time axis of the input; ValueError or RuntimeError where the graph cannot follow."""
        self._interpreter.resize_tensor_input(self._input, [1, frames, *self.shape[2:]])
        self._interpreter.allocate_tensors()

    def invoke(self, features: NDArray[np.int8]) -> NDArray[np.int8]:
        """Features (frames, mel_bins) -> all output elements, flat."""
        self._interpreter.set_tensor(self._input, features.reshape(1, len(features), *self.shape[2:]))
        self._interpreter.invoke()
        output: NDArray[np.int8] = self._interpreter.get_tensor(self._output)
        return output.reshape(-1)


def _stretch(graph: _Graph, single: _Graph) -> "_StretchedGraph | None":
    """The graph as one that runs many windows at once; None where it cannot be resized in time or gives other bytes on noise."""
    frames, bins = single.shape[1:3]
    # Features of smooth, speech-like range: full-scale noise would saturate the posteriors and prove little.
    noise = np.random.default_rng(0).normal(0, 40, (frames + _PROBE_FRAMES, bins)).cumsum(axis=0) * 0.3
    features = np.clip(np.rint(noise + np.linspace(-60, 40, bins)), -128, 127).astype(np.int8)
    try:
        graph.resize(len(features))
        rows = graph.invoke(features).reshape(-1, single.outputs)
    except (ValueError, RuntimeError):
        return None
    if len(rows) < 2 or _PROBE_FRAMES % (len(rows) - 1):
        return None
    step = _PROBE_FRAMES // (len(rows) - 1)
    if not _equal_single_windows(single, features, rows, step, np.linspace(0, len(rows) - 1, _PROBE_ROWS).astype(int)):
        return None
    return _StretchedGraph(graph, single, step)


def _equal_single_windows(single: _Graph, features: NDArray[np.int8], rows: NDArray[np.int8], stride: int, which: NDArray[np.int_]) -> bool:
    frames = single.shape[1]
    return all(np.array_equal(rows[i], single.invoke(features[i * stride : i * stride + frames])) for i in np.unique(which))


class _StretchedGraph:
    """A graph without padding in time: an input of window_frames + k*step frames gives k + 1 rows of posteriors."""

    def __init__(self, graph: _Graph, single: _Graph, step: int) -> None:
        self._graph, self._single, self._step = graph, single, step
        self._frames = 0

    def scan(self, features: NDArray[np.int8], stride: int, windows: int) -> NDArray[np.int8] | None:
        """As LiteRtRunner.scan; None as soon as a compared row differs from a single window's."""
        phases = self._step // int(np.gcd(self._step, stride))  # windows whose starts share a remainder lie on one stretched grid
        posteriors = np.empty((windows, self._single.outputs), np.int8)
        for phase in range(min(phases, windows)):
            count = len(range(phase, windows, phases))
            rows = self._scan_grid(features[phase * stride :], stride * phases, count)
            if rows is None:
                return None
            posteriors[phase::phases] = rows
        return posteriors

    def _scan_grid(self, features: NDArray[np.int8], stride: int, windows: int) -> NDArray[np.int8] | None:
        """Windows at multiples of `stride`, itself a multiple of the graph's step."""
        frames, every = self._single.shape[1], stride // self._step
        slab_windows = max(1, _SLAB_STEPS // every)
        posteriors = np.empty((windows, self._single.outputs), np.int8)
        for first in range(0, windows, slab_windows):
            count = min(slab_windows, windows - first)
            slab = features[first * stride : first * stride + (count - 1) * stride + frames]
            rows = self._run(slab)[::every]
            # The compared rows move from slab to slab: a pattern in the data cannot hide from them.
            which = (np.arange(_SLAB_ROWS) * (count // _SLAB_ROWS) + first // slab_windows) % count
            if len(rows) != count or not _equal_single_windows(self._single, slab, rows, stride, which):
                return None
            posteriors[first : first + count] = rows
        return posteriors

    def _run(self, slab: NDArray[np.int8]) -> NDArray[np.int8]:
        if len(slab) != self._frames:
            self._graph.resize(len(slab))
            self._frames = len(slab)
        return self._graph.invoke(slab).reshape(-1, self._single.outputs)


@cache
def runtime() -> Any:
    """The interpreter module there is. Raises ModelError where there is none."""
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ModelError(
        "LiteRT: expected ai-edge-litert or tflite-runtime, found neither; pip install ai-edge-litert (32-bit ARM: tflite-runtime)"
    )
