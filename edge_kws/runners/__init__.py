"""Model runners: int8 feature windows in, int8 posteriors out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ModelRunner(Protocol):
    """Runs a whole-window int8 model.

    `input_shape` is (window_frames, mel_bins); `classes` the number of outputs.
    """

    input_shape: tuple[int, int]
    classes: int

    def run(self, window: NDArray[np.int8]) -> NDArray[np.int8]:
        """One window (window_frames, mel_bins) int8 -> posteriors (classes,) int8, scale 1/256, zero point -128."""
        ...
