"""Augmentation of mel amplitudes: time shift, speed, pitch, gain, noise at a drawn signal-to-noise ratio, masks.

All functions take and return amplitudes (clips, frames, mel_bins) float32. Because the triangles of the filter bank add up to one
everywhere, the sum of squared amplitudes is the power between `lower_hz` and `upper_hz`: ratios taken here are mean-power ratios.
"""

# NumPy's stubs leave these unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Amplitudes = NDArray[np.float32]

_MASK_FILL = -128
_FULL_SCALE = 1e5
"""Amplitude of white noise at 0 dBFS in a middle mel bin."""


class AugmentationConfig(BaseModel):
    """How training clips vary. Ranges are uniform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift_ms: float = Field(default=100.0, ge=0, le=500)
    unknown_shift_ms: float | None = Field(
        default=None, ge=0, le=900, description="shift of words that are no keyword, which a sliding window meets in parts; None: shift_ms"
    )
    edge_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of clips beyond whose ends lies a quiet room, as in a recording cut short"
    )
    speed: float = Field(default=0.1, ge=0, lt=0.5, description="relative change of tempo, either way")
    pitch: float = Field(default=0.1, ge=0, lt=0.5, description="relative change of the frequency axis, either way")
    gain_db: tuple[float, float] = (-18.0, 8.0)
    noise_probability: float = Field(default=0.85, ge=0, le=1)
    snr_db: tuple[float, float] = (-3.0, 30.0)
    synthetic_noise_share: float = Field(default=0.3, ge=0, le=1, description="share of noises that are drawn spectra, not recordings")
    time_mask_frames: int = Field(default=8, ge=0)
    frequency_mask_bins: int = Field(default=4, ge=0)
    mask_probability: float = Field(default=0.5, ge=0, le=1)


def mel_centres(lower_hz: float, upper_hz: float, mel_bins: int) -> NDArray[np.float64]:
    """Centres (mel_bins,) of the bins of a filter bank from `lower_hz` to `upper_hz`, in mel: 1127 ln(1 + f / 700)."""
    low, high = 1127 * np.log1p(lower_hz / 700), 1127 * np.log1p(upper_hz / 700)
    return low + (high - low) * np.arange(1, mel_bins + 1) / (mel_bins + 1)


@dataclass(frozen=True)
class MelAxis:
    """Interpolation matrices that stretch the frequency axis: (steps, mel_bins, mel_bins), from -pitch to +pitch."""

    warps: NDArray[np.float32]

    @classmethod
    def build(cls, lower_hz: float, upper_hz: float, mel_bins: int, pitch: float, steps: int = 21) -> "MelAxis":
        """Warps whose scale runs evenly over 1 - pitch .. 1 + pitch."""
        centres = mel_centres(lower_hz, upper_hz, mel_bins)
        hz = 700 * np.expm1(centres / 1127)
        warps = np.zeros((steps, mel_bins, mel_bins), np.float32)
        for step, scale in enumerate(np.linspace(1 - pitch, 1 + pitch, steps)):
            position = np.interp(1127 * np.log1p(hz * scale / 700), centres, np.arange(mel_bins))
            left = np.minimum(position.astype(int), mel_bins - 2)
            part = position - left
            warps[step, left, np.arange(mel_bins)] = 1 - part
            warps[step, left + 1, np.arange(mel_bins)] += part
        return cls(warps)

    def apply(self, amplitudes: Amplitudes, random: np.random.Generator) -> Amplitudes:
        """A drawn warp for each clip."""
        return amplitudes @ self.warps[random.integers(len(self.warps), size=len(amplitudes))]


def shifted(
    clips: Amplitudes, frames: int, shift: NDArray[np.float64], speed: float, random: np.random.Generator
) -> tuple[Amplitudes, NDArray[np.bool_]]:
    """Cuts `frames` frames about the centre of each clip, displaced by up to `shift` (clips,) frames, up to `speed` faster or slower.

    Beyond a clip's ends its own frames are mirrored: what lies around a word sounds like what lies beside it. Returns the cuts and which of
    their frames (clips, frames) are such.
    """
    count, length, _ = clips.shape
    offset = random.uniform(-1, 1, (count, 1)) * shift[:, np.newaxis]
    rate = 1 + random.uniform(-speed, speed, (count, 1))
    position = (np.arange(frames) - (frames - 1) / 2) * rate + (length - 1) / 2 + offset
    beyond = (position < 0) | (position > length - 1)
    position = np.abs(position)
    position = (length - 1) - np.abs((length - 1) - position)
    position = np.clip(position, 0, length - 1)
    left = np.minimum(position.astype(np.int64), length - 2)
    part = (position - left).astype(np.float32)[..., np.newaxis]
    rows = np.arange(count)[:, np.newaxis]
    return clips[rows, left] * (1 - part) + clips[rows, left + 1] * part, beyond


def quiet_room(count: int, frames: int, mel_bins: int, random: np.random.Generator) -> Amplitudes:
    """White noise at -80 to -45 dBFS."""
    level = decibels(random.uniform(-80, -45, (count, 1, 1))) * _FULL_SCALE
    return (level * np.sqrt(random.gamma(2.0, 0.5, (count, frames, mel_bins)))).astype(np.float32)


def decibels(values: NDArray[np.float64] | float) -> NDArray[np.float32]:
    """Decibels to an amplitude factor."""
    return np.power(10.0, np.asarray(values) / 20).astype(np.float32)


def power(amplitudes: Amplitudes) -> NDArray[np.float32]:
    """Mean power of each clip (clips, 1, 1)."""
    return np.square(amplitudes).sum(axis=2, keepdims=True).mean(axis=1, keepdims=True)


def mixed(signal: Amplitudes, noise: Amplitudes, snr_db: NDArray[np.float64]) -> Amplitudes:
    """Adds the power of `noise`, scaled so that the clip's mean-power signal-to-noise ratio is `snr_db` (clips,)."""
    ratio = power(signal) / np.maximum(power(noise), 1e-3)
    factor = ratio * np.square(decibels(-snr_db))[:, np.newaxis, np.newaxis]
    return np.sqrt(np.square(signal) + np.square(noise) * factor)


def synthetic_noise(count: int, frames: int, mel_bins: int, random: np.random.Generator) -> Amplitudes:
    """Stationary noise of a drawn smooth spectrum, slowly swelling, with the fluctuation of a noise band."""
    knots = random.normal(0, 8, (count, 6)).cumsum(axis=1)
    axis = np.linspace(0, 5, mel_bins)
    left = np.minimum(axis.astype(int), 4)
    tilt_db = knots[:, left] * (1 - (axis - left)) + knots[:, left + 1] * (axis - left)
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    swell_db = random.uniform(0, 6, (count, 1)) * np.sin(
        np.arange(frames) / frames * 2 * np.pi * random.uniform(0.2, 2, (count, 1)) + phase
    )
    # A band of a few independent bins: its power fluctuates as a gamma variable does.
    fluctuation = np.sqrt(random.gamma(3.0, 1 / 3.0, (count, frames, mel_bins)))
    level = decibels(tilt_db[:, np.newaxis, :] + swell_db[:, :, np.newaxis])
    return (30 * level * fluctuation).astype(np.float32)


def mask(features: NDArray[np.int8], config: AugmentationConfig, random: np.random.Generator) -> None:
    """Blanks one stretch of time and one of frequency in some clips, in place; features (clips, frames, mel_bins) int8."""
    count, frames, bins = features.shape
    chosen = random.random((count, 2)) < config.mask_probability
    for clip in range(count):
        if chosen[clip, 0] and config.time_mask_frames:
            width = int(random.integers(1, config.time_mask_frames + 1))
            start = int(random.integers(0, frames - width + 1))
            features[clip, start : start + width] = _MASK_FILL
        if chosen[clip, 1] and config.frequency_mask_bins:
            width = int(random.integers(1, config.frequency_mask_bins + 1))
            start = int(random.integers(0, bins - width + 1))
            features[clip, :, start : start + width] = _MASK_FILL
