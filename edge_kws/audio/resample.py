"""Any rate and channel count to 16 kHz mono int16, streamed, without delay and without losing or adding a sample."""

from fractions import Fraction

import numpy as np
import soxr
from numpy.typing import NDArray

from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000


def resampled_length(samples: int, rate_hz: int) -> int:
    """16 kHz samples that `samples` at `rate_hz` become: round(samples * 16000 / rate_hz), exact for any length."""
    return round(Fraction(samples * SAMPLE_RATE_HZ, rate_hz))


def to_int16(pcm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Full scale +-1.0 to int16: rounded, clipped, no dither, so that int16 read as float returns unchanged."""
    scaled = np.rint(pcm * np.float32(32768.0))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


class Resampler:
    """Streaming conversion of (frames, channels) or (frames,) PCM to (samples,) int16 at 16 kHz.

    Channels are averaged. What enters at time t leaves at time t: the filter's delay is removed, so `process` returns less
    than it was given at first and `flush` returns the rest. All outputs together hold exactly `resampled_length(frames, rate_in)`
    samples and do not depend on how the input was cut. 16 kHz mono int16 passes through untouched.

    Args:
        rate_in: 8000..192000 Hz.
        channels: 1 or more.

    Raises:
        AudioError: a rate or channel count outside these ranges.
    """

    def __init__(self, rate_in: int, channels: int = 1) -> None:
        if not MIN_RATE_HZ <= rate_in <= MAX_RATE_HZ:
            raise AudioError(f"cannot resample from {rate_in} Hz: expected {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz; convert the audio first")
        if channels < 1:
            raise AudioError(f"cannot use audio of {channels} channels: expected 1 or more")
        self.rate_in = rate_in
        self.channels = channels
        self._soxr = None if rate_in == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_in, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        self._frames_in = 0
        self._samples_out = 0

    def process(self, pcm: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.int16]:
        """Take (frames, channels) or (frames,) int16, or float32 of full scale +-1; return the samples that are ready, possibly none."""
        frames = pcm[:, np.newaxis] if pcm.ndim == 1 else pcm
        if frames.shape[1] != self.channels:
            raise AudioError(f"audio block has {frames.shape[1]} channels: expected {self.channels}")
        self._frames_in += len(frames)
        if self._soxr is None and self.channels == 1 and frames.dtype == np.int16:
            ready = np.ascontiguousarray(frames[:, 0], dtype=np.int16)
        else:
            mono = self._mono(frames)
            ready = to_int16(mono if self._soxr is None else self._soxr.resample_chunk(mono))
        self._samples_out += len(ready)
        return ready

    def flush(self) -> NDArray[np.int16]:
        """End of the audio: return the samples still inside, and start afresh."""
        missing = resampled_length(self._frames_in, self.rate_in) - self._samples_out
        tail = np.zeros(0, np.int16)
        if self._soxr is not None and self._frames_in:
            tail = to_int16(self._soxr.resample_chunk(np.zeros(0, np.float32), last=True))
        self.reset()
        # soxr's own rounding of the total may differ by a sample or two (and be 0 for a handful of frames)
        return np.pad(tail[: max(missing, 0)], (0, max(missing - len(tail), 0)))

    def reset(self) -> None:
        """Forget all audio seen."""
        if self._soxr is not None:
            self._soxr.clear()
        self._frames_in = self._samples_out = 0

    def _mono(self, frames: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = frames.astype(np.float32) / np.float32(32768.0) if frames.dtype == np.int16 else frames.astype(np.float32)
        return np.ascontiguousarray(scaled[:, 0] if self.channels == 1 else scaled.mean(axis=1, dtype=np.float32))
