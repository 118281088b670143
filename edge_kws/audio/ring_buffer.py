"""The ring buffer between a capture thread and detectors.

One writer that never waits: it takes no lock a reader could hold. Readers copy first and check afterwards whether the writer
has meanwhile claimed what they copied (a sequence lock); if so they were lapped and receive a `Gap` instead of the damaged copy.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ, Gap


class RingBuffer:
    """The last `capacity_samples` int16 samples of a stream, and the position they end at.

    `write` and `write_gap` belong to one thread; readers and `span` may be used from any other, each reader from one.

    Raises:
        AudioError: a capacity below 2.
    """

    def __init__(self, capacity_samples: int) -> None:
        if capacity_samples < 2:
            raise AudioError(f"ring buffer of {capacity_samples} samples: expected at least 2")
        self.capacity_samples = capacity_samples
        self._samples = np.zeros(capacity_samples, np.int16)
        self._position = 0  # one past the last sample that may be read
        self._claimed = 0  # one past the last sample the writer may be writing; all below _claimed - capacity is gone
        self._gaps: tuple[Gap, ...] = ()  # replaced, never changed, so that readers need no lock
        self._wakes: tuple[threading.Lock, ...] = ()
        self._readers_lock = threading.Lock()  # guards the registration of readers; the writer never takes it

    @property
    def position(self) -> int:
        """Samples since start, written or declared lost."""
        return self._position

    @property
    def oldest(self) -> int:
        """Position of the oldest sample still inside."""
        return max(0, self._claimed - self.capacity_samples)

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Append (samples,) int16. Never waits; overwrites the oldest samples."""
        self._append(pcm, len(pcm))

    def write_gap(self, samples: int, reason: str) -> None:
        """Advance by samples that the device lost: every reader receives a `Gap`; `span` reads zeros there."""
        if samples > 0:
            oldest = self._position - self.capacity_samples
            kept = tuple(gap for gap in self._gaps if gap.end > oldest)
            self._gaps = (*kept, Gap(self._position, self._position + samples, reason))
            self._append(None, samples)

    def _append(self, pcm: NDArray[np.int16] | None, count: int) -> None:
        capacity, end = self.capacity_samples, self._position + count
        self._claimed = end
        kept = min(count, capacity)
        at = (end - kept) % capacity
        first = min(kept, capacity - at)
        self._samples[at : at + first] = 0 if pcm is None else pcm[count - kept : count - kept + first]
        self._samples[: kept - first] = 0 if pcm is None else pcm[count - kept + first :]
        self._position = end
        for wake in self._wakes:
            if wake.locked():  # only the writer releases, so this cannot race with another release
                wake.release()

    def span(self, start: int, end: int) -> NDArray[np.int16]:
        """Copy samples [start, end), exactly as written (zeros where `write_gap` declared a loss).

        Raises:
            AudioError: part of the span is no longer inside, or not yet written.
        """
        copy = self.copy_if_kept(start, end) if start <= end <= self._position else None
        if copy is None:
            raise AudioError(
                f"ring buffer holds samples {self.oldest}..{self._position}, not {start}..{end}; "
                f"a longer buffer than {self.capacity_samples / SAMPLE_RATE_HZ:.1f} s is needed"
            )
        return copy

    def reader(self) -> "Reader":
        """A new reader that starts with the next sample written."""
        wake = threading.Lock()
        wake.acquire()
        with self._readers_lock:
            self._wakes = (*self._wakes, wake)
        return Reader(self, wake)

    def forget(self, wake: threading.Lock) -> None:
        """Stop waking a reader that was closed."""
        with self._readers_lock:
            self._wakes = tuple(other for other in self._wakes if other is not wake)

    def gap_from(self, position: int) -> Gap | None:
        """The first declared gap that ends after `position`."""
        return next((gap for gap in self._gaps if gap.end > position), None)

    def _copy(self, start: int, end: int) -> NDArray[np.int16]:
        at, count = start % self.capacity_samples, end - start
        first = min(count, self.capacity_samples - at)
        return np.concatenate((self._samples[at : at + first], self._samples[: count - first]))

    def copy_if_kept(self, start: int, end: int) -> NDArray[np.int16] | None:
        """Copy [start, end), which has been written, unless the writer has reclaimed any of it."""
        copy = self._copy(start, end) if start >= self.oldest else None
        return copy if start >= self.oldest else None


class Reader:
    """A cursor of its own in a `RingBuffer`.

    Attributes:
        position: the next sample this reader will see.
        laps: how often the writer overtook this reader.
        lost_samples: samples this reader did not receive, lapped or lost by the device.
    """

    def __init__(self, ring: RingBuffer, wake: threading.Lock) -> None:
        self._ring = ring
        self._wake = wake
        self.position = ring.position
        self.laps = 0
        self.lost_samples = 0

    def read(self, max_samples: int, timeout_s: float = 0.0) -> NDArray[np.int16] | Gap | None:
        """Return 1..max_samples new samples in order, or the gap that comes next, or None when nothing came within the timeout.

        A lapped reader resumes in the middle of the buffer, so that it is not lapped again at once.
        """
        if not self._wait(timeout_s):
            return None
        gap = self._ring.gap_from(self.position)
        end = min(self._ring.position, self.position + max_samples)
        if gap is not None and gap.start <= self.position:
            return self._skip_to(gap.end, gap.reason) if gap.end >= self._ring.oldest else self._lapped()
        samples = self._ring.copy_if_kept(self.position, end if gap is None else min(end, gap.start))
        if samples is None:
            return self._lapped()
        self.position += len(samples)
        return samples

    def close(self) -> None:
        """Stop being woken by the writer."""
        self._ring.forget(self._wake)

    def _wait(self, timeout_s: float) -> bool:
        # A wake-up may be left over from samples that were read already, so look twice.
        for _ in range(2):
            if self._ring.position > self.position:
                return True
            if timeout_s <= 0 or not self._wake.acquire(timeout=timeout_s):
                break
        return self._ring.position > self.position

    def _lapped(self) -> Gap:
        self.laps += 1
        resume = max(self._ring.oldest, self._ring.position - self._ring.capacity_samples // 2)
        return self._skip_to(resume, "reader lapped: processing is slower than the audio")

    def _skip_to(self, end: int, reason: str) -> Gap:
        gap = Gap(self.position, end, reason)
        self.lost_samples += end - self.position
        self.position = end
        return gap
