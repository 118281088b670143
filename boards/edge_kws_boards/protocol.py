"""Frames of the serial protocol: the host's side of `firmware/app/protocol.c`. `docs/protocol.md` describes them."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from cobs import cobs as _cobs

_COBS: Any = _cobs  # carries no types
VERSION: Final = 1
BODY_BYTES: Final = 246
_HEAD: Final = struct.Struct("<BBH")
_CRC: Final = struct.Struct("<I")
_MAX_PACKET: Final = _HEAD.size + BODY_BYTES + _CRC.size
_MAX_STUFFED: Final = _MAX_PACKET + 1
_SEQUENCES: Final = 65535
"""Sequence numbers start at 0, which nothing is missing before, then go round from 1 to this."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame: `kind` is one of messages.Kind or of a later version's, `body` has at most BODY_BYTES."""

    kind: int
    sequence: int
    body: bytes


@dataclass(slots=True)
class Counts:
    """What a receiver met: whole frames, damaged ones, longer ones than any frame, whole ones of another version, missing ones."""

    frames: int = 0
    corrupt: int = 0
    too_long: int = 0
    foreign: int = 0
    lost: int = 0


def encode(kind: int, sequence: int, body: bytes) -> bytes:
    """A frame, its ending zero included.

    Raises:
        ValueError: a body of more than BODY_BYTES.
    """
    if len(body) > BODY_BYTES:
        raise ValueError(f"frame: expected a body of at most {BODY_BYTES} bytes, found {len(body)}")
    packet = _HEAD.pack(VERSION, kind, sequence) + body
    stuffed: bytes = _COBS.encode(packet + _CRC.pack(zlib.crc32(packet)))
    return stuffed + b"\0"


def next_sequence(sequence: int) -> int:
    """The sequence number after this one."""
    return sequence % _SEQUENCES + 1


class Receiver:
    """Finds the frames in any stream of bytes, whatever lies between them, and counts what it could not use."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._partial = b""
        self._skipping = False
        self._sequence: int | None = None

    def take(self, data: bytes) -> list[Frame]:
        """More bytes; returns the frames they complete."""
        frames: list[Frame] = []
        *whole, rest = data.split(b"\0")
        for piece in whole:
            self._extend(piece)
            stuffed, skipped = self._partial, self._skipping
            self._partial, self._skipping = b"", False
            if stuffed and not skipped and (frame := self._finish(stuffed)) is not None:
                frames.append(frame)
        self._extend(rest)
        return frames

    def _extend(self, piece: bytes) -> None:
        if len(self._partial) + len(piece) > _MAX_STUFFED:
            self.counts.too_long += not self._skipping
            self._skipping = True
        self._partial = (self._partial + piece)[:_MAX_STUFFED]

    def _finish(self, stuffed: bytes) -> Frame | None:
        try:
            packet: bytes = _COBS.decode(stuffed)
        except _cobs.DecodeError:
            packet = b""
        checked, crc = packet[: -_CRC.size], packet[-_CRC.size :]
        if len(checked) < _HEAD.size or len(packet) > _MAX_PACKET or crc != _CRC.pack(zlib.crc32(checked)):
            self.counts.corrupt += 1
            return None
        version, kind, sequence = _HEAD.unpack_from(packet)
        if version != VERSION:
            self.counts.foreign += 1
            return None
        self.counts.frames += 1
        if self._sequence is not None and sequence != 0:
            self.counts.lost += (sequence - 1 - self._sequence) % _SEQUENCES
        self._sequence = sequence
        return Frame(kind, sequence, checked[_HEAD.size :])
