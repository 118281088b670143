"""An evaluation as one HTML file: no scripts, nothing loaded from elsewhere, light and dark, readable on a phone."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_kws.errors import ConfigError
from edge_kws.evaluation.clips import RUNNER, ClipResult
from edge_kws.evaluation.metrics import Interval, macro_recall, wilson_interval
from edge_kws.evaluation.operating_points import OperatingPoint
from edge_kws.evaluation.wake_word import WakeWordResult

TEMPLATE = "report.html.j2"
LISTED_CONFUSIONS = 10
LISTED = 15
"""Single mistakes shown; the JSON has all of them."""

# Geometry of the drawings in SVG user units; the picture itself scales with the page.
_CELL = 40
_DET_WIDTH, _DET_HEIGHT = 640, 400
_DET_LEFT, _DET_TOP, _DET_RIGHT, _DET_BOTTOM = 64, 16, 620, 340
_DET_ZERO_SLOT = 84


@dataclass(frozen=True, slots=True)
class Card:
    """One headline figure: what it is, its value, and what it rests on."""

    title: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Span:
    """An interval drawn on a scale: low edge, width and point in percent of the scale's width."""

    low: float
    width: float
    point: float


def render_report(result: ClipResult | WakeWordResult, data: str) -> str:
    """The report as HTML text.

    Args:
        result: what was measured.
        data: the evaluation folder, as the reader knows it.

    Raises:
        ConfigError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError("--report: expected the package jinja2, found none; pip install jinja2, or use --json") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    context = _clip_context(result) if isinstance(result, ClipResult) else _wake_word_context(result)
    return environment.get_template(TEMPLATE).render(data=data, runner=RUNNER, result=result, **context)


def percent(share: float, digits: int = 1) -> str:
    """0.934 -> 93.4 %."""
    return f"{100 * share:.{digits}f} %"


def percents(interval: Interval, digits: int = 1) -> str:
    """(0.92, 0.95) -> 92.0 to 95.0 %."""
    return f"{100 * interval[0]:.{digits}f} to {100 * interval[1]:.{digits}f} %"


def rates(interval: Interval) -> str:
    """(0, 0.68) -> 0 to 0.68."""
    return f"{rate(interval[0])} to {rate(interval[1])}"


def rate(per_hour: float) -> str:
    """Two or three significant digits, no exponent."""
    return "0" if per_hour == 0 else f"{per_hour:.0f}" if per_hour >= 100 else f"{per_hour:.1f}" if per_hour >= 10 else f"{per_hour:.2f}"


def top_confusions(result: ClipResult) -> list[tuple[str, str, int, int]]:
    """(actual, predicted, clips, clips of the actual label), the most frequent confusions first."""
    size = len(result.labels)
    pairs = [(row, column) for row in range(size) for column in range(size) if row != column and result.confusion[row, column]]
    pairs.sort(key=lambda pair: (-int(result.confusion[pair]), pair))
    return [
        (result.labels[row], result.labels[column], int(result.confusion[row, column]), int(result.confusion[row].sum()))
        for row, column in pairs[:LISTED_CONFUSIONS]
    ]


def _clip_context(result: ClipResult) -> dict[str, Any]:
    mean, mean_interval = macro_recall(result.confusion)
    accepted, rest = result.rest_accepted()
    cards = [
        Card("Top-1", percent(result.top1), f"{percents(result.top1_interval)} · {result.correct} of {result.count} clips"),
        Card("Macro recall", percent(mean), f"{percents(mean_interval)} · {len(result.labels) - len(result.missing_labels)} labels"),
    ]
    if rest:
        spread = percents(wilson_interval(accepted, rest))
        cards.append(Card("False commands", percent(accepted / rest), f"{spread} · {accepted} of {rest} unknown or silent clips"))
    if result.floating is not None:
        change = 100 * (result.correct - result.floating.correct) / result.count
        alone = f"only float right {result.floating.float_only}, only int8 {result.floating.int8_only}"
        cards.append(Card("int8 against float", f"{change:+.2f}".replace("-", "−"), f"points of top-1 · {alone}"))
    floor, recalls = _recall_rows(result)
    return {
        "kind": "keywords",
        "cards": cards,
        "recalls": recalls,
        "recall_floor": round(100 * floor),
        "recall_ticks": [(label, _position(label / 100, floor)) for label in _recall_ticks(floor)],
        "matrix": _matrix(result),
        "confusions": top_confusions(result),
        "mistakes": result.mistakes[:LISTED],
    }


def _recall_rows(result: ClipResult) -> tuple[float, list[dict[str, Any]]]:
    """Where the recall scale starts (a round tenth below every interval), and a row per label with clips."""
    measured = [(label, *result.recall(label)) for label in result.labels if label not in result.missing_labels]
    floor = min(0.9, math.floor(10 * min(interval[0] for *_, interval in measured)) / 10)
    rows = [
        {
            "label": label,
            "value": percent(recall or 0.0),
            "interval": percents(interval),
            "clips": f"{correct} of {count}",
            "span": _span(interval, recall or 0.0, floor),
        }
        for label, correct, count, recall, interval in measured
    ]
    return floor, rows


def _recall_ticks(floor: float) -> list[int]:
    low = round(100 * floor)
    step = next(step for step in (2, 5, 10, 20, 25) if (100 - low) / step <= 5)
    return list(range(100, low - 1, -step))[::-1]


def _position(share: float, floor: float) -> float:
    return 100 * (share - floor) / (1 - floor)


def _span(interval: Interval, point: float, floor: float) -> Span:
    low, high = _position(interval[0], floor), _position(interval[1], floor)
    return Span(low, high - low, _position(point, floor))


def _matrix(result: ClipResult) -> dict[str, Any]:
    """Cells of the confusion matrix: where, what, and how deep the colour (share of the row, its root so that few still show)."""
    cells: list[dict[str, Any]] = []
    for row, actual in enumerate(result.labels):
        total = int(result.confusion[row].sum())
        for column, predicted in enumerate(result.labels):
            count = int(result.confusion[row, column])
            share = count / total if total else 0.0
            right = row == column
            depth = share if right else math.sqrt(share)
            cells.append(
                {
                    "x": column * _CELL,
                    "y": row * _CELL,
                    "count": count,
                    "title": f"{actual} taken for {predicted}: {count} of {total}"
                    if not right
                    else f"{actual} recognised: {count} of {total}",
                    "depth": f"{0.12 + 0.88 * depth:.3f}" if count else "0",
                    "kind": "right" if right else "wrong",
                    "strong": depth > 0.55,
                }
            )
    return {"cell": _CELL, "size": _CELL * len(result.labels), "margin": 9 * max(map(len, result.labels)) + 14, "cells": cells}


def _wake_word_context(result: WakeWordResult) -> dict[str, Any]:
    own = result.own
    per_hour = f"{rates(own.false_accepts_interval)} · {own.total_false_accepts} in {result.hours:.2f} h"
    return {
        "kind": "wake_word",
        "cards": [
            Card("Missed", percent(own.miss_rate), f"{percents(own.miss_interval)} · {own.misses} of {result.positives} recordings"),
            Card("False accepts an hour", rate(own.false_accepts_per_hour), per_hour),
            Card("Threshold", f"{own.threshold:.3f}", "the pack's own, on the smoothed posterior"),
        ],
        "points": [(point_name(point), point) for point in result.operating_points],
        "claims": [(point_name(point), claim) for point in result.operating_points for claim in point.claims],
        "strata": [stratum.to_dict() for stratum in result.strata],
        "det": _det_chart(result),
        "missed": result.missed[:LISTED],
        "false_accepts": result.false_accepts[:LISTED],
        "percent": percent,
        "percents": percents,
        "rate": rate,
        "rates": rates,
    }


def point_name(point: OperatingPoint) -> str:
    """What an operating point is called in tables."""
    return "pack's own" if point.target_per_hour is None else f"at {point.target_per_hour:g} FA/h"


class _DetScale:
    """Places rates (logarithmic, with a slot for none at all) and miss shares on the drawing."""

    def __init__(self, result: WakeWordResult) -> None:
        reached = [point.false_accepts_per_hour for point in result.operating_points]
        self.low = math.floor(math.log10(1 / result.hours) - 1e-9)
        self.high = max(self.low + 2, math.ceil(math.log10(max(1.0, *reached)) + 1))
        highest = max(point.miss_interval[1] for point in result.operating_points)
        self.top = next(top for top in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if min(1.0, 1.15 * highest) <= top)

    def x(self, per_hour: float) -> float:
        """Horizontal position; rates below the lowest decade share the slot at the left."""
        start = _DET_LEFT + _DET_ZERO_SLOT
        if per_hour < 10.0**self.low:
            return _DET_LEFT + _DET_ZERO_SLOT / 2
        return start + (min(math.log10(per_hour), self.high + 0.1) - self.low) / (self.high - self.low) * (_DET_RIGHT - start)

    def y(self, share: float) -> float:
        """Vertical position; shares above the scale leave the drawing, where they are clipped."""
        return _DET_BOTTOM - share / self.top * (_DET_BOTTOM - _DET_TOP)


def _det_chart(result: WakeWordResult) -> dict[str, Any]:
    scale = _DetScale(result)
    best = _frontier((point.false_accepts, point.misses) for point in result.det)
    rows = [(accepts / result.hours, misses / result.positives, *wilson_interval(misses, result.positives)) for accepts, misses in best]
    line = [(scale.x(per_hour), scale.y(share)) for per_hour, share, *_ in rows]
    lower = [(scale.x(row[0]), scale.y(row[2])) for row in rows]
    upper = [(scale.x(row[0]), scale.y(row[3])) for row in rows]
    proof = 3.0 / result.hours
    return {
        "width": _DET_WIDTH,
        "height": _DET_HEIGHT,
        "left": _DET_LEFT,
        "top": _DET_TOP,
        "right": _DET_RIGHT,
        "bottom": _DET_BOTTOM,
        "zero_x": scale.x(0.0),
        "line": _steps(line),
        "band": _steps(upper) + " L" + " L".join(f"{x:.1f} {y:.1f}" for x, y in reversed(_corners(lower))) + " Z",
        "x_ticks": [(scale.x(10.0**power), f"{10.0**power:g}") for power in range(scale.low, scale.high + 1)],
        "y_ticks": [(scale.y(share), f"{100 * share:g} %") for share in (scale.top * part / 5 for part in range(6))],
        "proof_x": min(scale.x(proof), _DET_RIGHT),
        "proof_text": f"not provable with {result.hours:.2f} h",
        "marks": [_det_mark(scale, result, index) for index in range(len(result.operating_points))],
    }


def _det_mark(scale: _DetScale, result: WakeWordResult, index: int) -> dict[str, Any]:
    point = result.operating_points[index]
    (low, high), (few, many) = point.miss_interval, point.false_accepts_interval
    return {
        "x": scale.x(point.false_accepts_per_hour),
        "y": scale.y(point.miss_rate),
        "y_low": scale.y(low),
        "y_high": scale.y(high),
        "x_low": scale.x(few),
        "x_high": min(scale.x(many), _DET_RIGHT),
        "own": point.target_per_hour is None,
        "name": point_name(point),
    }


def _frontier(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(false accepts, misses) rising in false accepts, each with fewer misses than the one before."""
    best: list[tuple[int, int]] = []
    for accepts, misses in sorted(points):
        if not best or misses < best[-1][1]:
            best.append((accepts, misses))
    return best


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a step line: a budget of false accepts buys the misses of the last point within it."""
    corners = [points[0]]
    for before, after in pairwise(points):
        corners += [(after[0], before[1]), after]
    return [*corners, (float(_DET_RIGHT), points[-1][1])]


def _steps(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in _corners(points))
