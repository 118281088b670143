"""Counts into rates with intervals. Everything is exact or closed-form and needs NumPy alone.

Wilson (1927) score interval for proportions; Garwood (1936) exact interval for Poisson rates; MOVER (Zou & Donner, 2008) for the
interval of a mean of proportions.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
CONFIDENCE = 0.95
"""Confidence of every interval and of every claim."""


def wilson_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Two-sided Wilson score interval of a proportion.

    Args:
        successes: 0..trials.
        trials: 0 or more; without trials nothing is known and the interval is (0, 1).
        confidence: coverage, 0..1 exclusive.

    Raises:
        ValueError: counts out of range.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in 0..{trials}, found {successes}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    spread = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / spread
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / spread
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def poisson_interval(events: int, confidence: float = CONFIDENCE) -> Interval:
    """Two-sided exact (Garwood) interval of a Poisson mean after counting `events` (0 or more).

    Divide by the hours observed for an interval of the rate. 0 events give (0, 3.69) at 95 %.

    Raises:
        ValueError: events below 0.
    """
    tail = (1 - confidence) / 2
    high = poisson_upper_bound(events, 1 - tail)
    return 0.0 if events == 0 else _poisson_mean(events - 1, 1 - tail), high


def poisson_upper_bound(events: int, confidence: float = CONFIDENCE) -> float:
    """One-sided exact upper bound of a Poisson mean: what a claim "at most r" has to stay below. 0 events give 3.0 at 95 %.

    Raises:
        ValueError: events below 0.
    """
    if events < 0:
        raise ValueError(f"events must be 0 or more, found {events}")
    return _poisson_mean(events, 1 - confidence)


def _poisson_mean(events: int, probability: float) -> float:
    """The mean at which P(X <= events) equals `probability`: bisection on the exact tail, which falls as the mean grows."""
    low, high = 0.0, events + 10 * math.sqrt(events + 1) + 20
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _poisson_cdf(events, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _poisson_cdf(events: int, mean: float) -> float:
    """P(X <= events): terms by recurrence from the largest, so that nothing under- or overflows."""
    if mean <= 0:
        return 1.0
    top = min(events, int(mean))
    term = math.exp(top * math.log(mean) - mean - math.lgamma(top + 1))
    total, down, up = term, term, term
    for k in range(top, 0, -1):
        down *= k / mean
        total += down
        if down < 1e-18 * total:
            break
    for k in range(top + 1, events + 1):
        up *= mean / k
        total += up
        if up < 1e-18 * total:
            break
    return min(1.0, total)


def confusion_matrix(
    actual: Sequence[int] | NDArray[np.int_], predicted: Sequence[int] | NDArray[np.int_], classes: int
) -> NDArray[np.int64]:
    """Counts (classes, classes): rows are actual classes, columns predicted ones.

    Raises:
        ValueError: lengths differ, or a class index outside 0..classes-1.
    """
    rows, columns = np.asarray(actual, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if rows.shape != columns.shape:
        raise ValueError(f"{rows.size} actual classes but {columns.size} predicted ones")
    both = np.concatenate([rows, columns])
    if both.size and (both.min() < 0 or both.max() >= classes):
        raise ValueError(f"class indices must lie in 0..{classes - 1}, found {both.min()}..{both.max()}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def macro_recall(confusion: NDArray[np.int64], confidence: float = CONFIDENCE) -> tuple[float, Interval]:
    """Mean recall over the classes that have clips, and its MOVER interval built from the classes' Wilson intervals.

    Args:
        confusion: (classes, classes), rows actual.
        confidence: coverage of the interval.

    Raises:
        ValueError: no clips at all.
    """
    counts = confusion.sum(axis=1)
    present = np.flatnonzero(counts)
    if present.size == 0:
        raise ValueError("macro recall needs at least one clip")
    below = above = total = 0.0
    for label in present:
        correct, count = int(confusion[label, label]), int(counts[label])
        low, high = wilson_interval(correct, count, confidence)
        recall = correct / count
        total += recall
        below += (recall - low) ** 2
        above += (high - recall) ** 2
    mean = total / present.size
    return mean, (max(0.0, mean - math.sqrt(below) / present.size), min(1.0, mean + math.sqrt(above) / present.size))


def hours_to_claim(rate_per_hour: float, events: int = 0, confidence: float = CONFIDENCE) -> float:
    """Hours of negatives with `events` false accepts in them that would just prove "at most `rate_per_hour`" (one-sided)."""
    return poisson_upper_bound(events, confidence) / rate_per_hour
