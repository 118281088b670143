"""The ring buffer against a plain list, under any interleaving, and with real threads."""

import threading

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from edge_kws.audio import Reader, RingBuffer
from edge_kws.errors import AudioError
from edge_kws.events import Gap


class RingBufferMachine(RuleBasedStateMachine):
    """Every reader sees the reference list in order; what it does not see, it is told of, exactly."""

    readers: Bundle[tuple[Reader, list[int]]] = Bundle("readers")

    @initialize(capacity=st.integers(2, 40))
    def start(self, capacity):
        self.ring = RingBuffer(capacity)
        self.written: list[int | None] = []  # None: declared lost
        self.all_readers: list[Reader] = []

    @rule(count=st.integers(0, 90))
    def write(self, count):
        first = len(self.written)
        samples = [(first + i) % 30_000 + 1 for i in range(count)]
        self.ring.write(np.array(samples, np.int16))
        self.written += samples

    @rule(count=st.integers(0, 90))
    def lose(self, count):
        self.ring.write_gap(count, "overrun")
        self.written += [None] * count

    @rule(target=readers)
    def add_reader(self):
        reader = self.ring.reader()
        self.all_readers.append(reader)
        assert reader.position == len(self.written)
        return reader, [0, 0]

    @rule(which=readers, max_samples=st.integers(1, 50))
    def read(self, which, max_samples):
        reader, (lost, laps) = which
        start, end, oldest = reader.position, len(self.written), max(0, len(self.written) - self.ring.capacity_samples)
        got = reader.read(max_samples)
        if start == end:
            assert got is None
        elif isinstance(got, Gap):
            assert (got.start, got.end) == (start, reader.position)
            assert start < got.end <= end
            if got.reason == "overrun":
                assert self.written[got.start : got.end] == [None] * (got.end - got.start)
            else:
                assert start < oldest, "only a reader whose next sample is gone was lapped"
                laps += 1
            lost += got.end - got.start
        else:
            assert got is not None
            assert 1 <= len(got) <= max_samples
            assert got.tolist() == self.written[start : start + len(got)]
            assert reader.position == start + len(got)
        assert (reader.lost_samples, reader.laps) == (lost, laps)
        which[1][:] = [lost, laps]

    @rule(data=st.data())
    def span(self, data):
        start = data.draw(st.integers(0, len(self.written) + 5))
        end = data.draw(st.integers(0, len(self.written) + 5))
        oldest = max(0, len(self.written) - self.ring.capacity_samples)
        if oldest <= start <= end <= len(self.written):
            assert self.ring.span(start, end).tolist() == [sample or 0 for sample in self.written[start:end]]
        else:
            with pytest.raises(AudioError, match="ring buffer holds samples"):
                self.ring.span(start, end)

    @invariant()
    def position(self):
        if hasattr(self, "ring"):
            assert self.ring.position == len(self.written)


TestRingBufferMachine = RingBufferMachine.TestCase


def test_threads_lose_nothing_when_readers_keep_up():
    """The writer is held back by the test (not by the ring), so no reader may be lapped: all must see every sample."""
    total, capacity, chunk = 200_000, 4096, 160
    ring = RingBuffer(capacity)
    readers = [ring.reader() for _ in range(3)]
    seen: list[list[np.ndarray]] = [[] for _ in readers]

    def consume(index: int) -> None:
        while readers[index].position < total:
            block = readers[index].read(173, timeout_s=5.0)
            assert isinstance(block, np.ndarray), block
            seen[index].append(block)

    threads = [threading.Thread(target=consume, args=(index,)) for index in range(len(readers))]
    for thread in threads:
        thread.start()
    reference = (np.arange(total) % 32_749).astype(np.int16)
    while ring.position < total:
        if ring.position + chunk - min(reader.position for reader in readers) < capacity:
            ring.write(reference[ring.position : ring.position + chunk])
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for blocks in seen:
        np.testing.assert_array_equal(np.concatenate(blocks), reference)


def test_threads_a_lapped_reader_never_sees_a_torn_block():
    """The writer runs free: readers are lapped all the time, and what they do get must still be what was written there."""
    ring = RingBuffer(1 << 15)
    reader = ring.reader()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            first = ring.position
            ring.write(np.arange(first, first + 12_000).astype(np.int16))  # larger copies run without the interpreter lock

    writer = threading.Thread(target=write)
    writer.start()
    gaps = 0
    for _ in range(3000):
        start = reader.position
        block = reader.read(10_000, timeout_s=5.0)
        assert block is not None
        if isinstance(block, Gap):
            assert (block.start, block.end) == (start, reader.position)
            gaps += 1
        else:
            np.testing.assert_array_equal(block, np.arange(start, start + len(block)).astype(np.int16))
    stop.set()
    writer.join(timeout=60)
    assert not writer.is_alive()
    assert reader.laps == gaps


def test_read_wakes_on_write():
    ring = RingBuffer(100)
    reader = ring.reader()
    timer = threading.Timer(0.05, ring.write, args=(np.ones(7, np.int16),))
    timer.start()
    block = reader.read(100, timeout_s=60)
    assert isinstance(block, np.ndarray)
    assert len(block) == 7
    timer.join()


def test_read_returns_none_after_the_timeout():
    ring = RingBuffer(100)
    reader = ring.reader()
    assert reader.read(10) is None
    assert reader.read(10, timeout_s=0.01) is None
    ring.write(np.ones(3, np.int16))
    assert reader.read(10) is not None
    assert reader.read(10, timeout_s=0.01) is None, "the wake-up of samples already read must not count"


def test_writer_does_not_wait_for_a_reader_that_stopped():
    ring = RingBuffer(16)
    stopped = ring.reader()
    for _ in range(10_000):
        ring.write(np.zeros(16, np.int16))
    gap = stopped.read(16)
    assert isinstance(gap, Gap)
    assert gap.start == 0
    assert gap.end == ring.position - 8, "it resumes with half a buffer of headroom"


def test_closed_reader_is_forgotten():
    ring = RingBuffer(16)
    reader = ring.reader()
    reader.close()
    ring.write(np.zeros(4, np.int16))
    assert reader.read(4) is not None, "its cursor still works, only the wake-up is gone"


def test_capacity_is_checked():
    with pytest.raises(AudioError, match="expected at least 2"):
        RingBuffer(1)
