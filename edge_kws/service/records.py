"""What the daemon says: the vocabulary of event bus and state snapshot. Times are Unix seconds, positions 16 kHz samples."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class InputStatus(StrEnum):
    """How an input is. Only `LISTENING` hears."""

    STARTING = "starting"  # not heard from yet
    LISTENING = "listening"
    SILENT = "silent"  # samples arrive, all of them equal: a muted or broken microphone
    AWAY = "away"  # device missing, gone or stalled; tried again and again
    ENDED = "ended"  # standard input came to its end
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Heard:
    """One detection.

    Attributes:
        id: counts detections over all runs; the store's key.
        time: when the last sample of the window was heard, Unix seconds by the clock of that moment.
        input: name of the input.
        pack: name of the pack.
        task: the pack's task, such as `wake_word`.
        label: the class that fired.
        score: smoothed posterior, 0..1.
        threshold: what it had to reach, 0..1.
        start: first sample of the window that fired, counted since the input's start in this run.
        end: one past the last sample consumed when the decoder fired.
    """

    id: int
    time: float
    input: str
    pack: str
    task: str
    label: str
    score: float
    threshold: float
    start: int
    end: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with `"type": "event"`."""
        return {"type": "event", **asdict(self), "score": round(self.score, 6)}


@dataclass(frozen=True, slots=True)
class Changed:
    """An input's status, or what is shed on it, changed. `detail` is one line for people."""

    time: float
    input: str
    status: InputStatus
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with `"type": "status"`."""
        return {"type": "status", **asdict(self), "status": self.status.value}


@dataclass(frozen=True, slots=True)
class Lost:
    """Samples [start, end) of an input never reached its packs."""

    time: float
    input: str
    start: int
    end: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with `"type": "gap"`."""
        return {"type": "gap", **asdict(self)}


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something about the daemon itself: `subject` is config, clock, store or a sink's name, `detail` one line for people."""

    time: float
    subject: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with `"type": "notice"`."""
        return {"type": "notice", **asdict(self)}


Record = Heard | Changed | Lost | Noticed


@dataclass(frozen=True, slots=True)
class PackState:
    """A pack on one input.

    Attributes:
        name: the pack's name.
        version: the pack's version.
        task: the pack's task.
        labels: all classes.
        fires: for each class, whether it can fire.
        scores: smoothed posteriors, 0..1; empty until the model has run.
        threshold: in force, 0..1.
        configured_threshold: what the config (or, where it says none, the pack) says.
        priority: the lowest is shed first.
        shed: switched off for now, because the machine is too slow.
        load: share of one core, 0..1, over the last seconds.
        signature: `shipped`, `signed` (key known), `unsigned` (loaded because the config says so).
    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    fires: tuple[bool, ...]
    scores: tuple[float, ...]
    threshold: float
    configured_threshold: float
    priority: int
    shed: bool
    load: float
    signature: str


@dataclass(frozen=True, slots=True)
class InputState:
    """One input.

    Attributes:
        name: from the config.
        source: the device and its real format, for people.
        status: see InputStatus.
        detail: one line for people: why it is not heard, and what happens next; empty when all is well.
        since: when this status began, Unix seconds.
        seconds_since_audio: since the last block arrived, by a clock that never jumps; None before the first.
        level_dbfs: mean power of the last block, None for digital silence.
        position: samples heard or lost.
        load: share of one core, all packs and the front end, over the last seconds.
        overruns: how often the device lost samples.
        laps: how often we were too slow.
        lost_samples: samples lost in all, for whatever reason (device away included).
        reconnects: how often the source was opened again.
        events: detections in this run.
        packs: in the config's order.
    """

    name: str
    source: str
    status: InputStatus
    detail: str
    since: float
    seconds_since_audio: float | None
    level_dbfs: float | None
    position: int
    load: float
    overruns: int
    laps: int
    lost_samples: int
    reconnects: int
    events: int
    packs: tuple[PackState, ...]


@dataclass(frozen=True, slots=True)
class SinkState:
    """One sink.

    Attributes:
        name: kind, and number where there are several of a kind.
        kind: as in the config.
        status: `ok`, `connecting`, `failing` or `stopped`.
        detail: one line for people; empty when all is well. Never holds a secret.
        delivered: records it took and delivered.
        dropped: records lost because a queue was full.
        queued: records waiting.
    """

    name: str
    kind: str
    status: str
    detail: str
    delivered: int
    dropped: int
    queued: int


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store.

    Attributes:
        status: `ok` or `failing` (disk full, folder gone...); events wait in memory meanwhile.
        detail: one line for people; empty when all is well.
        waiting: events not yet on disk.
        lost: events that never will be.
        retention: whether clips are kept on disk. False: audio stays in RAM.
        clips: clips on disk.
        clip_bytes: their size.
        budget_bytes: what they may take.
    """

    status: str
    detail: str
    waiting: int
    lost: int
    retention: bool
    clips: int
    clip_bytes: int
    budget_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole daemon at one moment.

    Attributes:
        version: of edge_kws.
        started: Unix seconds.
        uptime_s: by a clock that never jumps.
        config_path: the file in force.
        config_error: why the last reload was refused, None when it was not.
        rss_bytes: resident memory.
        inputs: in the config's order.
        sinks: in the config's order.
        store: events and clips.
    """

    version: str
    started: float
    uptime_s: float
    config_path: str
    config_error: str | None
    rss_bytes: int
    inputs: tuple[InputState, ...]
    sinks: tuple[SinkState, ...]
    store: StoreState

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
