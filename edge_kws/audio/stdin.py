"""Raw PCM on a pipe: `arecord -t raw -f S16_LE -r 16000 -c 1 | edge-kws listen --input - ...`."""

import sys
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.file import Pacer
from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ

_BLOCK_BYTES = 2 * SAMPLE_RATE_HZ // 20


class RawStdin:
    """Signed 16-bit little-endian mono 16 kHz samples without a header, as an `AudioSource`.

    Blocks are yielded as they arrive, so that a live pipe is not held up.

    Args:
        stream: binary stream; standard input by default. It is not closed.
        realtime: yield no faster than speech.

    Raises:
        AudioError: (on opening) the stream is a terminal; (from `blocks`) no sample at all, a WAV header, half a sample at the end.
    """

    def __init__(self, stream: BinaryIO | None = None, realtime: bool = False) -> None:
        self._stream = sys.stdin.buffer if stream is None else stream
        self.realtime = realtime

    @property
    def description(self) -> str:
        """The format expected, for people."""
        return "standard input: 16000 Hz, 1 channel, raw signed 16-bit little-endian"

    def __enter__(self) -> Self:
        if self._stream.isatty():
            raise AudioError(
                "standard input is a terminal; expected raw 16-bit 16 kHz mono PCM from a pipe or file: `... --input - < x.raw`"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def blocks(self) -> Generator[NDArray[np.int16], None, None]:
        """Yield int16 blocks of at most 50 ms until the stream ends; see `AudioSource.blocks`."""
        with self:
            pacer = Pacer() if self.realtime else None
            position, odd = 0, b""
            for data in self._chunks():
                data = odd + data
                whole = len(data) & ~1
                odd, block = data[whole:], np.frombuffer(data[:whole], "<i2").astype(np.int16)
                position += len(block)
                if pacer is not None:
                    pacer.wait_for(position)
                if len(block):
                    yield block
            if odd:
                raise AudioError(
                    f"standard input ended inside sample {position}: {2 * position + 1} bytes; expected 2 a sample; send 16 kHz mono s16le"
                )
            if position == 0:
                raise AudioError("standard input held no audio; expected raw 16-bit 16 kHz mono PCM")

    def _chunks(self) -> Iterator[bytes]:
        # read1 returns what a pipe holds now; read would wait for a full block
        read = getattr(self._stream, "read1", self._stream.read)
        head = b""
        while len(head) < 12 and (data := read(_BLOCK_BYTES)):
            head += data
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            raise AudioError(
                "standard input is a WAV file; expected raw 16-bit 16 kHz mono PCM without a header; give the file: `--input x.wav`"
            )
        yield head
        while head and (data := read(_BLOCK_BYTES)):
            yield data
