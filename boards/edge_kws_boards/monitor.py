"""A running board, watched: what it says, its levels, scores and statistics, as records for programs and lines for people."""

import math
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws_boards.link import BoardLink
from edge_kws_boards.messages import (
    GAP_REASONS,
    PCM_SAMPLES,
    RESTARTS,
    Fired,
    Kind,
    Level,
    Log,
    Lost,
    Message,
    Scores,
    Stats,
    Stream,
    pcm_body,
)

_STATS_S: Final = 1.0
_WATCHED = Stream.SCORES | Stream.LEVELS


def watch(link: BoardLink, pcm: NDArray[np.int16] | None = None) -> Iterator[Message]:
    """What a board says, with its statistics once a second; for ever, or until it has heard all of `pcm`.

    Args:
        link: the board.
        pcm: (samples,) int16, 16 kHz, for a board without a microphone: sent as fast as it takes it.

    Raises:
        BoardError: the board goes away.
    """
    link.request(Kind.SUBSCRIBE, bytes([_WATCHED]))
    if pcm is not None:
        yield from _give(link, pcm)
        return
    while True:
        link.send(Kind.GET_STATS, b"\1")
        until = time.monotonic() + _STATS_S
        while (left := until - time.monotonic()) > 0:
            yield from link.heard(left)


def _give(link: BoardLink, pcm: NDArray[np.int16]) -> Iterator[Message]:
    link.send(Kind.GET_STATS, b"\1")
    link.request(Kind.RESET)
    for at in range(0, len(pcm), PCM_SAMPLES):
        if at % (PCM_SAMPLES * 128) == 0 and at:  # about a second of sound
            link.send(Kind.GET_STATS, b"\1")
        link.send(Kind.PCM, pcm_body(at, pcm[at : at + PCM_SAMPLES]))
        yield from link.waiting()
    link.request(Kind.SUBSCRIBE, bytes([Stream.NONE]))  # answered once all of it is heard
    yield from link.waiting()


def record(link: BoardLink, message: Message) -> dict[str, Any] | None:
    """A message as a JSON object, None for those that only concern the protocol; `event` and `gap` are those of `edge-kws listen`."""
    match message:
        case Fired():
            model = link.models[message.model]
            return {
                "type": "event",
                "model": model.model.name,
                "label": model.labels[message.class_index],
                "score": round(message.score / 65536, 6),
                "start": message.start,
                "end": message.end,
                "time_s": message.end / SAMPLE_RATE_HZ,
            }
        case Lost():
            reason = GAP_REASONS.get(message.reason, str(message.reason))
            return {"type": "gap", "start": message.start, "end": message.end, "reason": reason}
        case Scores():
            model = link.models[message.model]
            scores = {label: round(int(value) / 65536, 6) for label, value in zip(model.labels, message.averages, strict=True)}
            return {"type": "scores", "model": model.model.name, "step": message.step, "scores": scores}
        case Level():
            return {"type": "level", "position": message.position, "dbfs": dbfs(message.mean_square), "peak": message.peak}
        case Stats():
            numbers = {name: getattr(message, name) for name in Stats.__dataclass_fields__}
            return {"type": "stats", **numbers, "restart_cause": RESTARTS.get(message.restart_cause, str(message.restart_cause))}
        case Log():
            return {"type": "log", "level": message.level, "text": message.text}
        case _:
            return None


def dbfs(mean_square: int) -> float | None:
    """Mean power relative to a square wave of full scale, in dB; None for digital silence."""
    return round(10 * math.log10(mean_square / 32768**2), 1) if mean_square else None


class StatusLine:
    """The latest level, scores and statistics, in one line."""

    def __init__(self) -> None:
        self._level = ""
        self._score: dict[str, str] = {}
        self._stats = ""

    def take(self, found: dict[str, Any]) -> None:
        """One more record."""
        if found["type"] == "level":
            self._level = "-inf dBFS" if found["dbfs"] is None else f"{found['dbfs']:.0f} dBFS"
        elif found["type"] == "scores":
            label = max(found["scores"], key=lambda name: found["scores"][name])
            self._score[found["model"]] = f"{found['model']} {label} {found['scores'][label]:.2f}"
        elif found["type"] == "stats":
            lost = f" · {found['gaps']} gaps" if found["gaps"] else ""
            self._stats = (
                f"load {found['load_permille'] / 10:.1f} %, worst hop {found['hop_most_us'] / 1000:.1f} ms · stack {found['stack_used']:,}"
                f"/{found['stack_bytes']:,} · arena {found['arena_used']:,}/{found['arena_bytes']:,}{lost}"
            )

    def __str__(self) -> str:
        return " · ".join(filter(None, [self._level, *self._score.values(), self._stats]))
