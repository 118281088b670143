"""What the device flow listens to: anything that yields 16 kHz mono int16 blocks, and says so when samples are missing."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.events import Gap


class AudioSource(Protocol):
    """Audio from a file, a pipe or a device.

    A source is a context manager; `blocks()` opens it where nobody has, and closes it at its end. A source is used once.
    """

    @property
    def description(self) -> str:
        """One line for people, with the real format of the file or device; complete once the source is open."""
        ...

    def __enter__(self) -> Self:
        """Open; harmless when open already. Raises AudioError when the source cannot be used."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close; harmless when closed already."""
        ...

    def blocks(self) -> Iterator[NDArray[np.int16] | Gap]:
        """Yield (samples,) int16 blocks of 16 kHz mono, any size, in order, until the source ends.

        A `Gap` in place of a block says that samples [start, end) never arrived; the next block starts at its `end`.

        Raises:
            AudioError: the source broke (damaged file, device gone); everything before that has been yielded.
        """
        ...
