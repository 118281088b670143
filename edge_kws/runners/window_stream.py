"""A stream over a runner that knows whole windows only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class WindowStream:
    """Keeps the last frames and runs every window in full. Window n covers frames n * stride .. n * stride + length - 1 since reset."""

    def __init__(self, run: Callable[[NDArray[np.int8]], NDArray[np.int8]], shape: tuple[int, int], classes: int, stride: int) -> None:
        self._run, self._classes, self._stride = run, classes, stride
        self._length, self._bins = shape
        self.reset()

    def reset(self) -> None:
        """Forgets all features."""
        self._history = np.zeros((0, self._bins), np.int8)
        self._skip = 0

    def process(self, features: NDArray[np.int8]) -> NDArray[np.int8]:
        """Features (frames, mel_bins) int8 -> posteriors (n, classes) int8."""
        history = np.concatenate([self._history, features])
        starts = range(self._skip, len(history) - self._length + 1, self._stride)
        posteriors = [self._run(history[start : start + self._length]) for start in starts]
        # With a stride longer than the window, frames between two windows belong to none.
        next_start = self._skip + len(starts) * self._stride
        self._history, self._skip = history[next_start:], max(0, next_start - len(history))
        return np.array(posteriors, np.int8).reshape(len(posteriors), self._classes)
