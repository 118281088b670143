"""Model runners: int8 feature windows in, int8 posteriors out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ModelStream(Protocol):
    """A model that follows a stream of features."""

    def process(self, features: NDArray[np.int8]) -> NDArray[np.int8]:
        """More features (frames, mel_bins) int8 -> posteriors (n, classes) int8 of the windows they complete, in order."""
        ...

    def reset(self) -> None:
        """Forgets all features; the next frame is the first of a window."""
        ...


class ModelRunner(Protocol):
    """Runs a whole-window int8 model.

    `input_shape` is (window_frames, mel_bins); `classes` the number of outputs.
    """

    input_shape: tuple[int, int]
    classes: int

    def run(self, window: NDArray[np.int8]) -> NDArray[np.int8]:
        """One window (window_frames, mel_bins) int8 -> posteriors (classes,) int8, scale 1/256, zero point -128."""
        ...

    def scan(self, features: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
        """Posteriors (windows, classes) int8 of the windows of features (frames, mel_bins) that start at 0, stride, 2 * stride, ..."""
        ...

    def stream(self, stride: int) -> ModelStream:
        """A stream whose windows start `stride` frames apart."""
        ...
