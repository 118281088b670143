"""Proof that a board computes what the host does: the same sound into both, every feature and every score compared."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.source import AudioSource
from edge_kws.decoder import Decoder
from edge_kws.errors import BoardError
from edge_kws.events import Event, Gap
from edge_kws.frontend import Frontend
from edge_kws.pack import Pack
from edge_kws.runners.choose import open_runner
from edge_kws_boards.link import BoardLink, LinkedModel, refusal
from edge_kws_boards.messages import PCM_SAMPLES, Features, Fired, Kind, Log, Lost, Message, Result, Scores, Stats, Stream, pcm_body

_SILENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the host makes of a sound: features (frames, mel_bins) int8, posteriors (steps, classes) int8, averages uint16, events."""

    features: NDArray[np.int8]
    posteriors: NDArray[np.int8]
    averages: NDArray[np.uint16]
    events: tuple[Event, ...]


@dataclass(slots=True)
class _Heard:
    """What a board made of it."""

    features: list[NDArray[np.int8]] = field(default_factory=list[NDArray[np.int8]])
    scores: list[Scores] = field(default_factory=list[Scores])
    fired: list[Fired] = field(default_factory=list[Fired])
    stats: Stats | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """A comparison in which every byte was equal.

    Attributes:
        samples, frames, steps: how much was compared; classes of each step.
        events: what the pack detected, on the board as on the host.
        stats: of the board, at the end of the replay.
    """

    board: str
    samples: int
    frames: int
    mel_bins: int
    steps: int
    classes: int
    events: tuple[Event, ...]
    stats: Stats


def samples_of(source: AudioSource) -> NDArray[np.int16]:
    """All of a source, (samples,) int16, 16 kHz. Raises AudioError."""
    with source:
        return np.concatenate([np.zeros(0, np.int16), *(block for block in source.blocks() if not isinstance(block, Gap))])


def expect(pack: Pack, pcm: NDArray[np.int16]) -> Expected:
    """Runs a pack on the host: C front end, exact model, C decoder.

    Args:
        pack: the pack.
        pcm: (samples,) int16, 16 kHz.
    """
    config = pack.frontend
    features = Frontend(config).process(pcm)[0]
    posteriors = open_runner(pack.model, pack.inference_stride_hops).stream(pack.inference_stride_hops).process(features)
    decoder = Decoder(pack.decoder)
    averages = np.zeros(posteriors.shape, np.uint16)
    events: list[Event] = []
    for step, row in enumerate(posteriors):
        for found in decoder.process(row[np.newaxis]):
            first = step * pack.inference_stride_hops
            end = config.frame_end(first + pack.window_frames - 1)
            events.append(Event(pack.info.name, pack.labels[found.class_index], found.score, first * config.hop_samples, end))
        averages[step] = np.rint(decoder.smoothed() * 65536).astype(np.uint16)
    return Expected(features, posteriors, averages, tuple(events))


def find_model(link: BoardLink, pack: Pack) -> LinkedModel:
    """The board's model that is this pack's. Raises BoardError."""
    found = next((linked for linked in link.models if linked.model.name == pack.info.name), None)
    if found is None:
        names = ", ".join(linked.model.name for linked in link.models)
        raise BoardError(f"{link.info.board}: expected the model {pack.info.name}, found {names}; build its firmware with this pack")
    if found.model.digest != pack.info.model_sha256:
        expected, other = pack.info.model_sha256[:12], found.model.digest[:12]
        raise BoardError(
            f"{link.info.board}: {pack.info.name}: expected model {expected}, found {other}; build its firmware with this pack"
        )
    if found.model.frontend_digest != pack.frontend.digest() or found.labels != pack.labels:
        raise BoardError(
            f"{link.info.board}: {pack.info.name}: expected this pack's front end and labels, found others; build its firmware again"
        )
    return found


def replay(link: BoardLink, pcm: NDArray[np.int16], streams: Stream) -> Iterator[Message]:
    """Resets the board, gives it a sound, and yields what it says; the last message is its stats.

    Args:
        link: the board.
        pcm: (samples,) int16, 16 kHz.
        streams: what to subscribe to.

    Raises:
        BoardError: the board stops answering or did not get all of the sound.
    """
    link.request(Kind.SUBSCRIBE, bytes([streams]))
    link.send(Kind.GET_STATS, b"\1")  # measures afresh
    link.request(Kind.RESET)
    list(link.waiting())
    for at in range(0, len(pcm), PCM_SAMPLES):
        link.send(Kind.PCM, pcm_body(at, pcm[at : at + PCM_SAMPLES]))
        yield from _checked(link, link.waiting())
    link.send(Kind.GET_STATS, b"\0")  # answered once all of the sound is heard
    for message in _checked(link, link.messages(_SILENT_S)):
        yield message
        if isinstance(message, Stats):
            link.request(Kind.SUBSCRIBE, bytes([Stream.NONE]))
            return
    raise BoardError(f"{link.port}: expected {link.info.board} to hear all of it, found silence for {_SILENT_S:g} s; reset it")


def _checked(link: BoardLink, messages: Iterator[Message]) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, Lost):
            raise BoardError(f"{link.port}: expected all samples to arrive, found {message.start}..{message.end} lost; try again")
        if isinstance(message, Result) and message.status != 0:
            raise BoardError(f"{link.info.board}: {refusal(message.status)}")
        if isinstance(message, Log) and message.level:
            raise BoardError(f"{link.info.board}: expected it to listen on, found that it {message.text}; look for the cause there")
        yield message


def verify(link: BoardLink, pack: Pack, pcm: NDArray[np.int16]) -> Verified:
    """Replays a sound into a board and compares every feature, posterior, moving average and event with the host's.

    Args:
        link: the board.
        pack: a pack it runs.
        pcm: (samples,) int16, 16 kHz.

    Raises:
        BoardError: another pack, sound that was lost, or the first byte that differs.
    """
    linked = find_model(link, pack)
    expected = expect(pack, pcm)
    heard = _Heard()
    for message in replay(link, pcm, Stream.FEATURES | Stream.SCORES):
        if isinstance(message, Features) and message.frontend == linked.model.frontend:
            _compare(link, pack, "frame", message.frame, len(heard.features), expected.features, message.features, "features")
            heard.features.append(message.features)
        elif isinstance(message, Scores) and message.model == linked.model.index:
            _compare(link, pack, "step", message.step, len(heard.scores), expected.posteriors, message.posteriors, "posteriors")
            _compare(link, pack, "step", message.step, len(heard.scores), expected.averages, message.averages, "moving averages")
            heard.scores.append(message)
        elif isinstance(message, Fired) and message.model == linked.model.index:
            heard.fired.append(message)
        elif isinstance(message, Stats):
            heard.stats = message
    return _conclude(link, pack, pcm, expected, heard)


def _compare(
    link: BoardLink, pack: Pack, unit: str, number: int, due: int, expected: NDArray[np.generic], found: NDArray[np.generic], what: str
) -> None:
    """One row. What the board knows before the host lets it out, at the very end of a sound, is beyond `expected` and not compared."""
    where = f"{link.info.board}: {pack.info.name}: {what}: {unit} {number}"
    if number != due:
        raise BoardError(f"{where}: expected {unit} {due} next: frames were lost on the line; try again")
    if number < len(expected) and not np.array_equal(expected[number], found):
        column = int(np.argmax(expected[number] != found)) if len(found) == expected.shape[1] else 0
        values = f"{expected[number, column]} at {column}, found {found[column] if len(found) else 'none'}"
        raise BoardError(f"{where}: expected {values}; the board does not compute what the host does: build its firmware again")


def _conclude(link: BoardLink, pack: Pack, pcm: NDArray[np.int16], expected: Expected, heard: _Heard) -> Verified:
    board = f"{link.info.board}: {pack.info.name}"
    frames, steps = len(expected.features), len(expected.posteriors)
    if len(heard.features) != frames or len(heard.scores) < steps:
        counted = f"{len(heard.features)} frames and {len(heard.scores)} steps"
        raise BoardError(f"{board}: expected {frames} frames and {steps} steps, found {counted}; try again")
    events = tuple(
        Event(pack.info.name, pack.labels[fired.class_index], fired.score / 65536, fired.start, fired.end) for fired in heard.fired
    )
    known = events[: len(expected.events)] if len(heard.scores) > steps else events
    if known != expected.events:
        raise BoardError(
            f"{board}: expected {len(expected.events)} events of the host's, found {len(events)} others; build its firmware again"
        )
    assert heard.stats is not None
    mel_bins, classes = expected.features.shape[1], expected.posteriors.shape[1]
    return Verified(link.info.board, len(pcm), frames, mel_bins, steps, classes, expected.events, heard.stats)
