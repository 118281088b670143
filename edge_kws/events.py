"""What the device flow reports: detections, and audio that was lost."""

from dataclasses import dataclass

SAMPLE_RATE_HZ = 16_000
"""Rate of all PCM inside; every position counts samples at this rate."""


@dataclass(frozen=True, slots=True)
class Event:
    """One detection.

    Attributes:
        model: name of the pack that fired.
        label: the class that fired.
        score: smoothed posterior, 0..1, at the step the decoder fired.
        start: first sample (16 kHz, since start) of the model window that fired.
        end: one past the last sample consumed when the decoder fired.
    """

    model: str
    label: str
    score: float
    start: int
    end: int

    @property
    def time_s(self) -> float:
        """Time of `end` in seconds since the source started."""
        return self.end / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio that never reached the detector: samples [start, end), 16 kHz positions, and why."""

    start: int
    end: int
    reason: str
