"""What displays need of an input. Computed when asked: a page that nobody looks at costs nothing."""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_kws.service.overload import Overload
from edge_kws.service.packs import LoadedPack
from edge_kws.service.records import PackState

_BLOCKS = 1200
_FRAMES_PER_COLUMN = 4


class Columns(NamedTuple):
    """A piece of spectrogram: column `first` and those after it, (columns, mel_bins) uint8, 40 ms a column, 0 quiet .. 255 loud."""

    first: int
    columns: NDArray[np.uint8]


class Spectrogram:
    """The features of the last blocks, about a minute. One thread adds, any may look."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, NDArray[np.int8]]] = deque(maxlen=_BLOCKS)
        self._frames = 0

    def add(self, features: NDArray[np.int8]) -> None:
        """Features (frames, mel_bins) int8 that follow the last ones."""
        self._blocks.append((self._frames, features))
        self._frames += len(features)

    def columns(self, after: int = -1) -> Columns:
        """What follows column `after`: of each four frames the loudest value of each bin."""
        wanted = _FRAMES_PER_COLUMN * (after + 1)
        blocks = [block for block in list(self._blocks) if block[0] + len(block[1]) > wanted]
        if not blocks:
            return Columns(after + 1, np.zeros((0, 0), np.uint8))
        frames = np.concatenate([features for _, features in blocks])
        first = -(-max(blocks[0][0], wanted) // _FRAMES_PER_COLUMN)
        kept = frames[first * _FRAMES_PER_COLUMN - blocks[0][0] :]
        count = len(kept) // _FRAMES_PER_COLUMN
        loudest = kept[: count * _FRAMES_PER_COLUMN].reshape(count, _FRAMES_PER_COLUMN, frames.shape[1]).max(axis=1)
        return Columns(first, (loudest.astype(np.int16) + 128).astype(np.uint8))


def pack_state(pack: LoadedPack, scores: NDArray[np.float32], override: float | None, overload: Overload) -> PackState:
    """A pack as it is now; `override` is the threshold that a person set, if any."""
    info = pack.pack.info
    return PackState(
        name=info.name,
        version=info.version,
        task=info.task,
        labels=pack.pack.labels,
        fires=tuple(threshold is not None for threshold in pack.pack.decoder.thresholds),
        scores=tuple(round(float(score), 4) for score in scores),
        threshold=pack.threshold if override is None else override,
        configured_threshold=pack.threshold,
        priority=pack.priority,
        shed=info.name in overload.shed,
        load=overload.pack_load(info.name),
        signature=pack.signature,
    )
