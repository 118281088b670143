"""What frames say: the messages between host and board, their bytes and their meaning. `docs/protocol.md` is the same for people.

The numbers are those of `firmware/app/protocol.h`, `messages.h` and `app.h`; a test reads them there.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import BoardError


class Kind(IntEnum):
    """Kinds of frames; those below 0x80 go to the board."""

    HELLO = 0x01
    RESET = 0x02
    SUBSCRIBE = 0x03
    PCM = 0x04
    GET_STATS = 0x05
    UPDATE_BEGIN = 0x06
    UPDATE_DATA = 0x07
    UPDATE_COMMIT = 0x08
    INFO = 0x81
    MODEL = 0x82
    LABEL = 0x83
    RESULT = 0x84
    RECEIVED = 0x85
    FEATURES = 0x86
    SCORES = 0x87
    EVENT = 0x88
    GAP = 0x89
    LEVEL = 0x8A
    AUDIO = 0x8B
    STATS = 0x8C
    LOG = 0x8D


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    UNKNOWN = 1
    MALFORMED = 2
    UNSUPPORTED = 3
    TOO_LARGE = 4
    OUT_OF_ORDER = 5
    FLASH = 6
    DAMAGED = 7
    WRONG_ABI = 8
    WRONG_FRONTEND = 9
    NO_MEMORY = 10
    UNTRUSTED = 11


class Stream(IntFlag):
    """What a host subscribes to; events, gaps and log lines come always."""

    NONE = 0
    FEATURES = 1
    SCORES = 2
    LEVELS = 4
    AUDIO = 8


class Source(IntFlag):
    """Where a board can hear from."""

    SERIAL = 1
    MICROPHONE = 2


PCM_SAMPLES: Final = 120
"""Samples of a PCM frame."""
UPDATE_BYTES: Final = 240
"""Image bytes of an UPDATE_DATA frame; a multiple of every flash write unit."""

GAP_REASONS = {0: "ring buffer full", 1: "lost on the serial line", 2: "microphone overrun"}
RESTARTS = {0: "power or reset pin", 1: "fault", 2: "watchdog"}


def hello_body(token: int) -> bytes:
    """Body of HELLO; INFO brings the token back."""
    return struct.pack("<I", token)


def pcm_body(position: int, samples: NDArray[np.int16]) -> bytes:
    """Body of PCM: `position` samples (mod 2^32) came before since the last RESET; samples (n,) int16, n <= PCM_SAMPLES."""
    return struct.pack("<I", position & 0xFFFFFFFF) + samples.astype("<i2").tobytes()


def update_data_body(offset: int, data: bytes) -> bytes:
    """Body of UPDATE_DATA."""
    return struct.pack("<I", offset) + data


@dataclass(frozen=True, slots=True)
class Info:
    """What answers, and how it takes data.

    Attributes:
        token: of the HELLO this answers. received: bytes taken since start, mod 2^32. receive_bytes: how many may be on their way.
        ring_samples: the audio ring. models, frontends: how many follow. sources: where it can hear from.
        slots, slot_bytes: model slots; 0: no updates. watchdog_ms: 0: none. window_samples, hop_samples: of the front end.
        board: its name.
    """

    token: int
    received: int
    receive_bytes: int
    ring_samples: int
    models: int
    frontends: int
    sources: int
    slots: int
    watchdog_ms: int
    window_samples: int
    hop_samples: int
    slot_bytes: int
    board: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model on the board: `slot` is 0 for one built into the firmware; `digest`, `frontend_digest`: SHA-256 in hex."""

    index: int
    frontend: int
    classes: int
    slot: int
    window_rows: int
    stride_rows: int
    digest: str
    frontend_digest: str
    name: str


@dataclass(frozen=True, slots=True)
class Label:
    """A class of a model; `threshold` is Q16 of 0..1, 65535: it never fires."""

    model: int
    class_index: int
    threshold: int
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a request of kind `kind`."""

    kind: int
    status: int


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes the board has taken since start, mod 2^32: so many more may be on their way."""

    received: int


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Frame number `frame` since reset of a front end: features (mel_bins,) int8."""

    frontend: int
    frame: int
    features: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Output number `step` since reset of a model: posteriors (classes,) int8, and their moving averages (classes,) Q16 of 0..1."""

    model: int
    step: int
    posteriors: NDArray[np.int8]
    averages: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Fired:
    """A detection: `score` is the moving average, Q16 of 0..1; start and end are 16 kHz samples since reset."""

    model: int
    class_index: int
    score: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Audio that was never heard: 16 kHz samples [start, end) since reset; see GAP_REASONS."""

    start: int
    end: int
    reason: int


@dataclass(frozen=True, slots=True)
class Level:
    """Loudness of the samples before `position`: mean square, and the largest magnitude, of 16-bit samples."""

    position: int
    mean_square: int
    peak: int


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """What the board hears: samples (n,) int16 from `position` on."""

    position: int
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Stats:
    """How the board is.

    Attributes:
        uptime_ms: since start.
        hops: front-end hops since the last request that cleared; hop_mean_us, hop_most_us: what they took, sending not counted.
        load_permille: the same, of the duration of audio.
        overrun_samples, gaps: audio lost since start. dropped_frames: frames to the host that had no room.
        frames, corrupt, too_long, foreign, lost: of the board's receiver.
        stack_used, stack_bytes: the deepest since start, and what there is; arena_used, arena_bytes: the same of the models' memory.
        restarts: since power was switched on; restart_cause: see RESTARTS.
    """

    uptime_ms: int
    hops: int
    hop_mean_us: int
    hop_most_us: int
    load_permille: int
    overrun_samples: int
    gaps: int
    dropped_frames: int
    frames: int
    corrupt: int
    too_long: int
    foreign: int
    lost: int
    stack_used: int
    stack_bytes: int
    arena_used: int
    arena_bytes: int
    restarts: int
    restart_cause: int


@dataclass(frozen=True, slots=True)
class Log:
    """A line for people; `level` 0 is a note, 1 a warning."""

    level: int
    text: str


Message = Info | Model | Label | Result | Received | Features | Scores | Fired | Lost | Level | Audio | Stats | Log

_NUMBERS: Mapping[int, tuple[Callable[..., Message], Struct]] = {
    Kind.RESULT: (Result, Struct("<BB")),
    Kind.RECEIVED: (Received, Struct("<I")),
    Kind.EVENT: (Fired, Struct("<BBHQQ")),
    Kind.GAP: (Lost, Struct("<QQB")),
    Kind.LEVEL: (Level, Struct("<QIH")),
    Kind.STATS: (Stats, Struct("<19I")),
}
_NUMBERS_AND_TEXT: Mapping[int, tuple[Callable[..., Message], Struct]] = {
    Kind.INFO: (Info, Struct("<IIHHBBBBHHHI")),
    Kind.LABEL: (Label, Struct("<BBH")),
    Kind.LOG: (Log, Struct("<B")),
}
_MODEL: Final = Struct("<BBBBHH32s32s")
_FEATURES: Final = Struct("<BI")
_AUDIO: Final = Struct("<Q")


def read_message(kind: int, body: bytes) -> Message | None:
    """The message of a frame; None of a kind this version does not know.

    Raises:
        BoardError: a body that is not of its kind.
    """
    if kind in _NUMBERS:
        message, layout = _NUMBERS[kind]
        return message(*_head(kind, layout, body, tail=False))
    if kind in _NUMBERS_AND_TEXT:
        message, layout = _NUMBERS_AND_TEXT[kind]
        numbers: list[Any] = [*_head(kind, layout, body)]
        numbers.append(_text(body[layout.size :]))
        return message(*numbers)
    match kind:
        case Kind.MODEL:
            index, uses, classes, slot, window, stride, digest, frontend_digest = _head(kind, _MODEL, body)
            name = _text(body[_MODEL.size :])
            return Model(index, uses, classes, slot, window, stride, digest.hex(), frontend_digest.hex(), name)
        case Kind.FEATURES:
            frontend, frame = _head(kind, _FEATURES, body)
            return Features(frontend, frame, np.frombuffer(body, np.int8, offset=_FEATURES.size))
        case Kind.SCORES:
            return _scores(body)
        case Kind.AUDIO:
            (position,) = _head(kind, _AUDIO, body)
            return Audio(position, np.frombuffer(body, "<i2", (len(body) - _AUDIO.size) // 2, offset=_AUDIO.size).astype(np.int16))
        case _:
            return None


def _scores(body: bytes) -> Scores:
    model, step = _head(Kind.SCORES, _FEATURES, body)
    classes = (len(body) - _FEATURES.size) // 3
    averages = np.frombuffer(body, "<u2", classes, offset=_FEATURES.size + classes).astype(np.uint16)
    return Scores(model, step, np.frombuffer(body, np.int8, classes, offset=_FEATURES.size), averages)


def _head(kind: int, layout: Struct, body: bytes, *, tail: bool = True) -> tuple[Any, ...]:
    """The numbers a body begins with; `tail`: more may follow."""
    if len(body) < layout.size or (len(body) > layout.size and not tail):
        expected = f"{layout.size} bytes{' or more' if tail else ''}"
        raise BoardError(f"{Kind(kind).name} message: expected {expected}, found {len(body)}; flash the firmware of this edge_kws")
    return layout.unpack_from(body)


def _text(data: bytes) -> str:
    """Text of a board, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in data.decode("utf-8", "replace"))
