"""Golden vectors of a program: rows that resemble features, and what the reference makes of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.program import Program
from edge_kws_converters.reference import Reference

_WINDOWS, _OUTPUTS = 2, 16


@dataclass(frozen=True, slots=True, eq=False)
class GoldenRows:
    """Whole window: rows (n, input bytes) one window each. Stream: rows (n, row bytes) in order. `outputs` (m, output bytes)."""

    rows: NDArray[np.int8]
    outputs: NDArray[np.int8]


def feature_rows(count: int, width: int, seed: int = 0) -> NDArray[np.int8]:
    """Rows (count, width) int8 that wander as speech features do: full-scale noise would saturate every layer and prove little."""
    rng = np.random.default_rng(seed)
    slow = rng.normal(0, 12, (count, width)).cumsum(axis=0)
    fast = rng.normal(0, 20, (count, width))
    return np.clip(np.rint(slow * 0.8 + fast - 30), -128, 127).astype(np.int8)


def golden_rows(program: Program, reference: Reference, windows: NDArray[np.int8] | None = None) -> GoldenRows:
    """Golden vectors; `windows` (n, frames, bins) int8 real ones, e.g. a pack's, in place of invented ones."""
    ring = program.input
    if windows is None:
        windows = feature_rows(_WINDOWS * ring.rows, ring.row_bytes).reshape(_WINDOWS, ring.rows, ring.row_bytes)
    windows = windows[:_WINDOWS]
    if not program.stride:
        rows = windows.reshape(len(windows), -1)
        return GoldenRows(rows, reference_outputs(program, reference, rows))
    rows = windows.reshape(-1, ring.row_bytes)
    if program.has_state:
        rows = feature_rows(_OUTPUTS * ring.rows, ring.row_bytes)
    count = min((len(rows) - ring.rows) // program.stride + 1, _OUTPUTS)
    rows = rows[: (count - 1) * program.stride + ring.rows]
    return GoldenRows(rows, reference_outputs(program, reference, rows))


def reference_outputs(program: Program, reference: Reference, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """What right is for `rows` (see GoldenRows): outputs (m, output bytes) int8, of whole windows or at every stride."""
    if not program.stride:
        return np.stack([reference.run(window) for window in rows])
    frames = program.input.rows
    return np.stack([reference.run(rows[end - frames : end]) for end in range(frames, len(rows) + 1, program.stride)])
