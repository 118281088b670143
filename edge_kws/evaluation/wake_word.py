"""Wake-word packs: recordings streamed through the C front end, the exported int8 model and the C decoder, as the Detector does.

Each recording starts from reset after a quiet lead-in that fills the model's window and the decoder's average, and is followed by
0.5 s of the same noise. A positive counts as one hit however often it fires. Negatives are whole files; each event is one false
accept (the decoder's refractory keeps it to one at a time). Events that end inside the lead-in do not count, nor does its time: hours
are those of the recordings alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_kws.audio.file import WavFile
from edge_kws.errors import ConfigError
from edge_kws.evaluation.clips import RUNNER, describe_pack
from edge_kws.evaluation.metrics import poisson_interval, wilson_interval
from edge_kws.evaluation.operating_points import (
    POSTERIOR_STEPS,
    DecoderSweep,
    DetPoint,
    OperatingPoint,
    Track,
    allowed_false_accepts,
    firing_levels,
)
from edge_kws.evaluation.streams import Progress, Streamer, in_parallel, lead_in, step_end
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.pack import Pack

TARGET_RATES = (0.5, 0.1)
"""False accepts an hour at which misses are reported."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A positive without a hit at the pack's threshold, and the threshold at which it would have been one."""

    file: str
    level: float


@dataclass(frozen=True, slots=True)
class FalseAccept:
    """An event in a negative at the pack's threshold; `time_s` counts from the start of the file."""

    file: str
    stratum: str
    time_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """One kind of negative audio; `false_accepts` by operating point, `files_accepted` at the pack's threshold."""

    name: str
    files: int
    hours: float
    false_accepts: dict[str, int]
    files_accepted: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; rates and intervals are those at the pack's threshold."""
        low, high = poisson_interval(self.false_accepts["pack"])
        return {
            "name": self.name,
            "files": self.files,
            "hours": self.hours,
            "false_accepts": dict(self.false_accepts),
            "false_accepts_per_hour": self.false_accepts["pack"] / self.hours,
            "false_accepts_interval": [low / self.hours, high / self.hours],
            "files_accepted": self.files_accepted,
            "files_accepted_interval": list(wilson_interval(self.files_accepted, self.files)),
        }


@dataclass(frozen=True, slots=True)
class WakeWordResult:
    """What a wake-word pack did on recordings of its word and on everything else.

    Attributes:
        pack: name, version and model hash of the pack.
        label: the wake word's label.
        decoder: the decoder's settings, the pack's threshold among them.
        operating_points: at the pack's threshold, and at 0.5 and 0.1 false accepts an hour.
        strata: negatives by kind.
        det: misses and false accepts by rising threshold.
        missed: positives not hit at the pack's threshold, the nearest to it first.
        false_accepts: events in negatives at the pack's threshold, the surest first.
    """

    pack: dict[str, str]
    label: str
    decoder: dict[str, Any]
    positives: int
    hours: float
    operating_points: tuple[OperatingPoint, ...]
    strata: tuple[Stratum, ...]
    det: tuple[DetPoint, ...]
    missed: tuple[Miss, ...]
    false_accepts: tuple[FalseAccept, ...]

    @property
    def own(self) -> OperatingPoint:
        """The pack's own threshold: the only one that was not chosen on these recordings."""
        return self.operating_points[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the keys are stable within `schema_version` and listed in `edge_kws.evaluation`."""
        own = self.own.to_dict()
        flat = ("threshold", "misses", "miss_rate", "miss_interval")
        flat += ("false_accepts", "false_accepts_per_hour", "false_accepts_interval")
        return {
            "schema_version": 1,
            "task": "wake_word",
            "pack": dict(self.pack),
            "runner": RUNNER,
            "label": self.label,
            "decoder": dict(self.decoder),
            "positives": self.positives,
            "negative_hours": self.hours,
            **{key: own[key] for key in flat},
            "operating_points": [point.to_dict() for point in self.operating_points],
            "cannot_claim": [claim.text for point in self.operating_points for claim in point.claims if not claim.proven],
            "strata": [stratum.to_dict() for stratum in self.strata],
            "det": [self._det_dict(point) for point in self.det],
            "missed": [{"file": miss.file, "level": miss.level} for miss in self.missed],
            "false_accept_events": [
                {"file": event.file, "stratum": event.stratum, "time_s": event.time_s, "score": event.score} for event in self.false_accepts
            ],
        }

    def _det_dict(self, point: DetPoint) -> dict[str, float | int]:
        return {
            "threshold": point.threshold,
            "misses": point.misses,
            "miss_rate": point.misses / self.positives,
            "false_accepts": point.false_accepts,
            "false_accepts_per_hour": point.false_accepts / self.hours,
        }


def wake_label(pack: Pack) -> str:
    """The one label of a wake-word pack that can fire.

    Raises:
        ConfigError: no label or several can fire.
    """
    able = [label for label, threshold in zip(pack.labels, pack.decoder.thresholds, strict=True) if threshold is not None]
    if len(able) != 1:
        found = ", ".join(able) or "none"
        raise ConfigError(
            f"{pack.info.name}: a wake word has exactly one label with a threshold, found {found}; evaluate it as a keywords pack"
        )
    return able[0]


def evaluate_wake_word(
    pack: Pack,
    positives: Iterable[Path],
    negatives: Mapping[str, Iterable[Path]],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> WakeWordResult:
    """Streams every recording and counts misses and false accepts at all thresholds.

    Args:
        pack: a wake-word pack.
        positives: recordings of the word, one utterance each, of any format and rate.
        negatives: recordings of other audio by stratum.
        workers: threads, each with a front end and a runner of its own.
        progress: called as recordings are finished.

    Raises:
        ConfigError: no positives or no negatives, or not a wake-word pack.
        AudioError: a recording cannot be read.
        ModelError: the model cannot be run.
    """
    jobs = [("", path) for path in positives]
    count = len(jobs)
    jobs += [(stratum, path) for stratum, paths in negatives.items() for path in paths]
    if not count or count == len(jobs):
        missing = "negatives" if count else "positives"
        raise ConfigError(f"{pack.info.name}: no {missing} to evaluate; give recordings of the word and of other audio")
    wake_label(pack)

    def work(streamer: Streamer, job: tuple[str, Path]) -> Track:
        stratum, path = job
        return streamer.track(f"{path.parent.name}/{path.name}", stratum, WavFile(path).blocks())

    tracks = in_parallel(lambda: Streamer(pack), work, jobs, workers, progress)
    return judge(pack, tracks[:count], tracks[count:])


def judge(pack: Pack, positives: Sequence[Track], negatives: Sequence[Track]) -> WakeWordResult:
    """Counts on tracks of `pack` that are already streamed: operating points, strata, DET, and the errors themselves.

    Raises:
        ConfigError: not a wake-word pack, or negatives without audio.
    """
    label = wake_label(pack)
    index = pack.labels.index(label)
    threshold = pack.decoder.thresholds[index]
    hours = sum(track.seconds for track in negatives) / 3600
    if threshold is None or hours <= 0 or not positives:
        raise ConfigError(f"{pack.info.name}: expected a threshold for {label!r}, positives and hours of negatives; one of them is missing")
    sweep = DecoderSweep(pack.decoder, index, positives, negatives)
    chosen: list[tuple[str, float | None, float]] = [("pack", None, threshold)]
    chosen += [(f"fa_{rate:g}", rate, sweep.threshold_for(allowed_false_accepts(rate, hours))) for rate in TARGET_RATES]
    points = tuple(_operating_point(sweep, key, rate, value, positives, negatives, hours) for key, rate, value in chosen)
    return WakeWordResult(
        pack=describe_pack(pack),
        label=label,
        decoder=pack.decoder.to_dict(),
        positives=len(positives),
        hours=hours,
        operating_points=points,
        strata=tuple(_stratum(sweep, name, negatives, points) for name in dict.fromkeys(track.stratum for track in negatives)),
        det=sweep.det(),
        missed=_missed(pack, sweep, index, threshold, positives),
        false_accepts=_false_accepts(pack, sweep, threshold, negatives),
    )


def _operating_point(
    sweep: DecoderSweep,
    key: str,
    target: float | None,
    threshold: float,
    positives: Sequence[Track],
    negatives: Sequence[Track],
    hours: float,
) -> OperatingPoint:
    accepts = dict.fromkeys((track.stratum for track in negatives), 0)
    for track in negatives:
        accepts[track.stratum] += len(sweep.events(track, threshold))
    rates = TARGET_RATES if target is None else (target,)
    return OperatingPoint(key, threshold, target, sweep.at(threshold).misses, len(positives), accepts, hours, rates)


def _stratum(sweep: DecoderSweep, name: str, negatives: Sequence[Track], points: Sequence[OperatingPoint]) -> Stratum:
    tracks = [track for track in negatives if track.stratum == name]
    return Stratum(
        name=name,
        files=len(tracks),
        hours=sum(track.seconds for track in tracks) / 3600,
        false_accepts={point.key: point.false_accepts[name] for point in points},
        files_accepted=sum(1 for track in tracks if sweep.events(track, points[0].threshold)),
    )


def _missed(pack: Pack, sweep: DecoderSweep, index: int, threshold: float, positives: Sequence[Track]) -> tuple[Miss, ...]:
    missed = [
        Miss(
            track.name,
            int(firing_levels(track.posteriors, pack.decoder, index).max(initial=0)) / (POSTERIOR_STEPS * pack.decoder.average_window),
        )
        for track in positives
        if not sweep.events(track, threshold)
    ]
    return tuple(sorted(missed, key=lambda miss: (-miss.level, miss.file)))


def _false_accepts(pack: Pack, sweep: DecoderSweep, threshold: float, negatives: Sequence[Track]) -> tuple[FalseAccept, ...]:
    before = lead_in(pack).size
    found = [
        FalseAccept(track.name, track.stratum, (step_end(pack, event.step) - before) / SAMPLE_RATE_HZ, event.score)
        for track in negatives
        for event in sweep.events(track, threshold)
    ]
    return tuple(sorted(found, key=lambda event: (-event.score, event.file, event.time_s)))
