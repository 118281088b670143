"""What a threshold is expected to cost in false accepts per hour, from the figures a pack carries, and no more than they prove."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from edge_kws.evaluation.metrics import poisson_interval
from edge_kws.pack_info import Measurement, PackInfo

_OWN = "false accepts per hour"
_AT = re.compile(r"false accepts per hour at threshold (0\.\d{1,6}|1\.0{1,6}|1)")
_MISSES_AT = re.compile(r"misses at (\d{1,6}(?:\.\d{1,6})?) false accepts per hour")
_CHOSEN = re.compile(r"threshold (0\.\d{1,6}|1\.0{1,6}) chosen")


@dataclass(frozen=True, slots=True)
class Point:
    """False accepts per hour measured at one threshold: at most `rate`, and the 95 % interval of the true rate."""

    threshold: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Span:
    """What holds for thresholds in [start, end], 0..1.

    Attributes:
        start: first threshold.
        end: last threshold.
        rate: false accepts per hour that were counted; None where nothing was measured.
        low: lower end of the 95 % interval, None: unknown.
        high: upper end, None: unknown.
        text: one line for people.
    """

    start: float
    end: float
    rate: float | None
    low: float | None
    high: float | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def expectation(info: PackInfo) -> tuple[Span, ...]:
    """Spans that cover 0..1, by rising threshold; empty where the pack carries no false accepts per hour.

    A higher threshold never gives more false accepts. So between two measured thresholds the rate lies between theirs, above the highest it
    is at most what was proven there, and below the lowest it is at least what was proven there: nobody can tell how much more.
    """
    points = sorted(_points(info), key=lambda point: point.threshold)
    return tuple(_spans(points)) if points else ()


def _spans(points: list[Point]) -> Iterator[Span]:
    first, last = points[0], points[-1]
    text = f"cannot tell: more than the {_number(first.rate)} an hour at {first.threshold:.3f}"
    yield Span(0.0, first.threshold, None, first.low, None, text)
    for left, right in pairwise(points):
        yield _measured(left)
        text = f"{_number(right.rate)} to {_number(left.rate)} an hour (95 %: {_number(right.low)} to {_number(left.high)})"
        yield Span(left.threshold, right.threshold, None, right.low, left.high, text)
    yield _measured(last)
    if last.threshold < 1:
        yield Span(last.threshold, 1.0, None, 0.0, last.high, f"at most {_number(last.rate)} an hour (95 %: 0 to {_number(last.high)})")


def _measured(point: Point) -> Span:
    text = f"{_number(point.rate)} an hour (95 %: {_number(point.low)} to {_number(point.high)})"
    return Span(point.threshold, point.threshold, point.rate, point.low, point.high, text)


def _points(info: PackInfo) -> Iterator[Point]:
    thresholds: list[Any] = [value for value in _listed(info.decoder.get("thresholds")) if isinstance(value, int | float)]
    own = next((row for row in info.quality if row.name == _OWN and row.interval_kind == "poisson"), None)
    if own is not None and own.interval is not None and thresholds:
        yield Point(float(min(thresholds)), own.value, *own.interval)
    for row in info.quality:
        found = _AT.fullmatch(row.name)
        if found and row.interval is not None and row.interval_kind == "poisson":
            yield Point(float(found[1]), row.value, *row.interval)
        elif own is not None and (point := _chosen(row, own)) is not None:
            yield point


def _chosen(row: Measurement, own: Measurement) -> Point | None:
    """The threshold that was chosen to give at most so many false accepts per hour on the recordings behind `own`."""
    target, threshold = _MISSES_AT.fullmatch(row.name), _CHOSEN.match(row.note)
    if target is None or threshold is None or own.interval is None or not own.interval[1] > 0:
        return None
    hours = poisson_interval(own.count or 0)[1] / own.interval[1]
    accepts = int(float(target[1]) * hours + 1e-9)
    low, high = poisson_interval(accepts)
    return Point(float(threshold[1]), accepts / hours, min(low / hours, own.interval[0]), high / hours)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _number(rate: float) -> str:
    """Two significant digits, no exponent."""
    if rate >= 10:
        return f"{rate:.0f}"
    return f"{rate:.2g}" if rate >= 0.01 else f"{rate:.3f}".rstrip("0").rstrip(".")
