"""Raw PCM from pipes."""

import io
import os
import pty
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.audio import RawStdin
from edge_kws.errors import AudioError


class Dribble(io.BytesIO):
    """A pipe that hands out the given numbers of bytes, in turn."""

    def __init__(self, data, sizes):
        super().__init__(data)
        self.sizes = sizes or [1]
        self.turn = 0

    def read1(self, size=-1, /):
        assert size is not None
        self.turn += 1
        return super().read1(min(size, self.sizes[self.turn % len(self.sizes)]))


@given(samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=400), sizes=st.lists(st.integers(1, 50), max_size=6))
def test_any_chunking_gives_the_samples(samples, sizes):
    data = np.array(samples, "<i2").tobytes()
    blocks = list(RawStdin(Dribble(data, sizes)).blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


def test_half_a_sample_at_the_end_is_reported_after_the_rest():
    got = []
    with pytest.raises(AudioError, match="inside sample 3: 7 bytes"):
        got.extend(RawStdin(io.BytesIO(b"\1\0\2\0\3\0\4")).blocks())
    np.testing.assert_array_equal(np.concatenate(got), [1, 2, 3])


def test_nothing():
    with pytest.raises(AudioError, match="held no audio"):
        list(RawStdin(io.BytesIO(b"")).blocks())


def test_a_wav_file_is_not_raw_pcm():
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(1000, np.int16), 16_000, format="WAV")
    stream.seek(0)
    with pytest.raises(AudioError, match="is a WAV file"):
        list(RawStdin(stream).blocks())


def test_a_terminal_is_refused():
    leader, follower = pty.openpty()
    with os.fdopen(follower, "rb") as terminal, pytest.raises(AudioError, match="terminal"):
        list(RawStdin(terminal).blocks())
    os.close(leader)


def test_a_live_pipe_is_not_held_up():
    """Samples must come out while the pipe is still open and nearly empty."""
    receiver, sender = os.pipe()
    os.write(sender, np.arange(10, dtype="<i2").tobytes())
    with os.fdopen(receiver, "rb") as stream:
        blocks = RawStdin(stream).blocks()
        first = next(blocks)
        np.testing.assert_array_equal(first, np.arange(10))
        threading.Timer(0.05, os.close, args=(sender,)).start()
        assert list(blocks) == []
