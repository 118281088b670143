"""Thresholds against errors: the C decoder itself is run again over stored posteriors at every candidate threshold.

Nothing is approximated: moving average, consecutive steps and refractory are the decoder's, so each point is what a device with that
threshold would have reported on these recordings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_kws.decoder import Decoder, DecoderConfig, Detection
from edge_kws.evaluation.metrics import CONFIDENCE, Interval, hours_to_claim, poisson_interval, poisson_upper_bound, wilson_interval

POSTERIOR_STEPS = 256
"""Levels of one int8 posterior; the decoder's average of N of them has N times as many."""
COARSE_CANDIDATES = 256


@dataclass(frozen=True, slots=True)
class Track:
    """The posteriors of one streamed recording.

    Attributes:
        name: file, for people.
        stratum: kind of audio, for negatives.
        posteriors: (steps, classes) int8 from reset, the lead-in included.
        first_step: events at earlier steps lie in the lead-in and do not count.
        seconds: length of the recording itself.
    """

    name: str
    stratum: str
    posteriors: NDArray[np.int8]
    first_step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DetPoint:
    """Errors at one threshold (on the smoothed posterior, 0..1)."""

    threshold: float
    misses: int
    false_accepts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether `false_accepts` in `hours` prove "at most `rate_per_hour`" with 95 % confidence (one-sided, exact Poisson)."""

    rate_per_hour: float
    false_accepts: int
    hours: float

    @property
    def upper_per_hour(self) -> float:
        """What the recordings do prove: the rate is at most this."""
        return poisson_upper_bound(self.false_accepts) / self.hours

    @property
    def proven(self) -> bool:
        """True when the claim may be made."""
        return self.upper_per_hour <= self.rate_per_hour

    @property
    def text(self) -> str:
        """One sentence for people."""
        counted = f"{self.false_accepts} false accept{'' if self.false_accepts == 1 else 's'} in {self.hours:.2f} h"
        bound = math.ceil(100 * self.upper_per_hour) / 100  # a bound is never rounded down
        proof = f"<= {bound:.2f} ({CONFIDENCE * 100:.0f} %, one-sided)"
        if self.proven:
            return f"can claim <= {self.rate_per_hour:g} FA/h: {counted} prove {proof}"
        needed = hours_to_claim(self.rate_per_hour)
        return f"cannot claim {self.rate_per_hour:g} FA/h: {counted} prove only {proof}; it takes {needed:.0f} h without one"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"rate_per_hour": self.rate_per_hour, "proven": self.proven, "upper_per_hour": self.upper_per_hour, "text": self.text}


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Errors at a threshold of interest, with intervals and what may be claimed.

    Attributes:
        key: "pack", "fa_0.5" or "fa_0.1".
        threshold: on the smoothed posterior, 0..1.
        target_per_hour: the rate this threshold was chosen for on these very negatives (so its misses are optimistic); None: the
            pack's own threshold, fixed before.
        misses: positives without a hit, of `positives`.
        false_accepts: by stratum.
        hours: hours of negatives.
        rates_to_claim: false accepts per hour one would like to claim.
    """

    key: str
    threshold: float
    target_per_hour: float | None
    misses: int
    positives: int
    false_accepts: dict[str, int]
    hours: float
    rates_to_claim: tuple[float, ...]

    @property
    def miss_rate(self) -> float:
        """Share of positives missed, 0..1."""
        return self.misses / self.positives

    @property
    def miss_interval(self) -> Interval:
        """Wilson interval of `miss_rate`, 95 %."""
        return wilson_interval(self.misses, self.positives)

    @property
    def total_false_accepts(self) -> int:
        """False accepts over all strata."""
        return sum(self.false_accepts.values())

    @property
    def false_accepts_per_hour(self) -> float:
        """False accepts an hour over all strata."""
        return self.total_false_accepts / self.hours

    @property
    def false_accepts_interval(self) -> Interval:
        """Exact (Garwood) interval of `false_accepts_per_hour`, 95 %, two-sided."""
        low, high = poisson_interval(self.total_false_accepts)
        return low / self.hours, high / self.hours

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the hours carry."""
        return tuple(Claim(rate, self.total_false_accepts, self.hours) for rate in self.rates_to_claim)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "key": self.key,
            "threshold": self.threshold,
            "target_per_hour": self.target_per_hour,
            "misses": self.misses,
            "positives": self.positives,
            "miss_rate": self.miss_rate,
            "miss_interval": list(self.miss_interval),
            "false_accepts": self.total_false_accepts,
            "false_accepts_per_hour": self.false_accepts_per_hour,
            "false_accepts_interval": list(self.false_accepts_interval),
            "false_accepts_upper": poisson_upper_bound(self.total_false_accepts) / self.hours,
            "false_accepts_by_stratum": dict(self.false_accepts),
            "claims": [claim.to_dict() for claim in self.claims],
        }


def firing_levels(posteriors: NDArray[np.int8], config: DecoderConfig, label: int) -> NDArray[np.int64]:
    """For each step the highest level at which the decoder could fire there, refractory aside.

    A level is a sum of `average_window` posteriors, 0..255 each; entry t is the lowest sum among the `min_consecutive` steps that
    end at t + average_window + min_consecutive - 2. Used to pick candidates; the counting is the decoder's.
    """
    if posteriors.shape[0] < config.average_window + config.min_consecutive - 1:
        return np.zeros(0, dtype=np.int64)
    sums = np.convolve(posteriors[:, label].astype(np.int64) + 128, np.ones(config.average_window, dtype=np.int64), mode="valid")
    return sliding_window_view(sums, config.min_consecutive).min(axis=1)


class DecoderSweep:
    """Errors of one label at any threshold, over stored tracks."""

    def __init__(self, config: DecoderConfig, label: int, positives: Sequence[Track], negatives: Sequence[Track]) -> None:
        self._config = config
        self._label = label
        self._positives = [(track, *self._peaks(track)) for track in positives]
        self._negatives = [(track, *self._peaks(track)) for track in negatives]
        self._top = POSTERIOR_STEPS * config.average_window
        self._levels = self._candidates()
        self._known: dict[float, DetPoint] = {}
        self._decoder: Decoder | None = None
        self._decoder_threshold = -1.0

    def events(self, track: Track, threshold: float) -> list[Detection]:
        """What the C decoder reports on a track at `threshold`, the lead-in left out."""
        if self._decoder is None or self._decoder_threshold != threshold:
            thresholds = tuple(threshold if index == self._label else None for index in range(len(self._config.thresholds)))
            self._decoder, self._decoder_threshold = Decoder(replace(self._config, thresholds=thresholds)), threshold
        self._decoder.reset()
        return [found for found in self._decoder.process(track.posteriors) if found.step >= track.first_step]

    def at(self, threshold: float) -> DetPoint:
        """Misses and false accepts at `threshold`."""
        if threshold not in self._known:
            # A track whose peak is a whole posterior step below the threshold cannot fire however the decoder rounds.
            reach = (threshold - 1 / POSTERIOR_STEPS) * self._top
            hits = sum(1 for track, peak, _ in self._positives if peak >= reach and self.events(track, threshold))
            accepts = sum(len(self.events(track, threshold)) for track, peak, _ in self._negatives if peak >= reach)
            self._known[threshold] = DetPoint(threshold, len(self._positives) - hits, accepts)
        return self._known[threshold]

    def det(self) -> tuple[DetPoint, ...]:
        """The detection error tradeoff: at most COARSE_CANDIDATES thresholds and all others asked for so far, rising."""
        for level in self._levels:
            self.at(self._threshold(level))
        return tuple(self._known[threshold] for threshold in sorted(self._known))

    def threshold_for(self, false_accepts: int) -> float:
        """The lowest threshold from which upwards no threshold gives more than `false_accepts` on these negatives."""
        levels = self._levels
        above = len(levels) - 1
        while above > 0 and self.at(self._threshold(levels[above - 1])).false_accepts <= false_accepts:
            above -= 1
        low, high = (levels[above - 1], levels[above]) if above else (0, levels[0])
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(self._threshold(middle)).false_accepts <= false_accepts:
                high = middle
            else:
                low = middle
        return self._threshold(high)

    def _threshold(self, level: int) -> float:
        """The threshold that `level` reaches and the level below does not; at the top nothing can fire."""
        return min(1.0, (level - 0.5) / self._top)

    def _candidates(self) -> list[int]:
        """Levels worth trying: those where a positive is lost, and those where false accepts go, dense where they are rare."""
        lost = np.unique(np.array([peak for _, peak, _ in self._positives], dtype=np.int64))
        lost = lost[np.unique(np.linspace(0, max(0, lost.size - 1), COARSE_CANDIDATES // 2).round().astype(np.int64))[: lost.size]]
        accepts = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *(peaks for _, _, peaks in self._negatives)]))[::-1]
        ranks = np.unique(np.geomspace(1, max(1, accepts.size), COARSE_CANDIDATES // 2 - 2).astype(np.int64))[: accepts.size] - 1
        # One above each: the lowest level at which that false accept is gone.
        levels = {int(level) for level in lost} | {int(level) + 1 for level in accepts[ranks]} | {self._top}
        return sorted(level for level in levels if 1 <= level <= self._top)

    def _peaks(self, track: Track) -> tuple[int, NDArray[np.int64]]:
        """The highest firing level of a track, and the highest of each stretch as long as a refractory."""
        config = self._config
        start = max(0, track.first_step - config.average_window - config.min_consecutive + 2)
        levels = firing_levels(track.posteriors, config, self._label)[start:]
        if levels.size == 0:
            return 0, levels
        peaks = np.maximum.reduceat(levels, np.arange(0, levels.size, max(1, config.refractory_steps)))
        return int(levels.max()), peaks


def allowed_false_accepts(rate_per_hour: float, hours: float) -> int:
    """Most false accepts in `hours` that are no more than `rate_per_hour`."""
    return math.floor(rate_per_hour * hours + 1e-9)
