"""Pictures of spectrograms become mel amplitudes: which pairs may teach it, and what it learns."""

# pyright: reportUnknownMemberType=false

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_kws.data.augmentation import mel_centres
from edge_kws.data.features import AMPLITUDE_UNIT, MelStore
from edge_kws.data.spectrograms import Picture
from edge_kws.errors import ConfigError
from edge_kws.frontend import FrontendConfig

pytest.importorskip("keras")

from edge_kws.training import translation
from edge_kws.training.translation import aligned, translate

FRAMES, BINS = 98, 40
FRONTEND = FrontendConfig()


def smooth(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Log amplitudes (count, frames, bins) that change slowly, as a voice does."""
    time = np.linspace(0, 1, FRAMES)[:, np.newaxis]
    bins = np.linspace(0, 1, BINS)
    waves = [
        random.normal(0, 1.5, (count, 1, 1)) * np.cos(2 * np.pi * (t * time + b * bins + random.random((count, 1, 1))))
        for t in range(1, 5)
        for b in range(3)
    ]
    return (5 + np.sum(waves, axis=0)).clip(0, 12).astype(np.float32)


def as_pictures(logs: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The grey pictures (count, frames, 40) of log amplitudes: 20 to 4000 Hz, 19.5 grey levels a neper."""
    centres = mel_centres(FRONTEND.lower_hz, FRONTEND.upper_hz, BINS), mel_centres(20, 4000, BINS)
    rows = np.stack([np.interp(centres[1], centres[0], frame) for frame in logs.reshape(-1, BINS)])
    return (19.5 * rows - 16.5).clip(0, 255).astype(np.uint8).reshape(-1, FRAMES, BINS)


def test_shifted_and_noisy_pictures_are_told_from_true_ones() -> None:
    random = np.random.default_rng(5)
    logs = smooth(30, random)
    pixels = as_pictures(logs)
    pixels[10:20] = np.roll(pixels[10:20], 6, axis=1)
    pixels[20:] = as_pictures(np.logaddexp(logs[20:], smooth(10, random) + 2))
    assert aligned(pixels, logs, FRONTEND).tolist() == [True] * 10 + [False] * 20


def corpus(root: Path, logs: NDArray[np.float32]) -> tuple[tuple[Picture, ...], dict[str, int], MelStore]:
    pictures: list[Picture] = []
    for row, pixels in enumerate(as_pictures(logs)):
        path = root / f"{row}.png"
        Image.fromarray(pixels).save(path)
        pictures.append(Picture(path, "word", f"word/{row}", "train"))
    amplitudes = (np.exp(logs) / AMPLITUDE_UNIT).astype(np.float16).reshape(-1, BINS)
    store = MelStore(amplitudes, np.arange(len(logs) + 1, dtype=np.int64) * FRAMES)
    return tuple(pictures), {f"word/{row}": row for row in range(len(logs) - 40)}, store


@pytest.mark.slow
def test_translation_restores_level_and_shape_and_keeps_what_it_missed_as_texture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "STEPS", 60)
    random = np.random.default_rng(6)
    logs = smooth(300, random)
    pictures, pairs, store = corpus(tmp_path, logs + random.normal(0, 0.3, logs.shape).astype(np.float32))
    found = translate(pictures, pairs, store, FRONTEND, tmp_path / "cache", seed=1)
    unpaired = np.log(found.amplitudes[-40:].astype(np.float32) * AMPLITUDE_UNIT)
    below_4_khz = np.abs(unpaired - logs[-40:].clip(0))[:, :, 2:28].mean()
    assert below_4_khz < 0.5  # the values themselves spread over several nepers
    assert found.textures.shape == (65, FRAMES, BINS)
    assert 0.1 < np.abs(np.log(found.textures.astype(np.float32))).mean() < 1.0
    again = translate((), {}, store, FRONTEND, tmp_path / "cache", seed=2)
    assert np.array_equal(again.amplitudes, found.amplitudes)


@pytest.mark.slow
def test_pictures_of_other_recordings_are_refused(tmp_path: Path) -> None:
    logs = smooth(200, np.random.default_rng(7))
    pictures, pairs, store = corpus(tmp_path, logs)
    strangers = {name: (row + 1) % len(pairs) for name, row in pairs.items()}
    with pytest.raises(ConfigError, match="found 0 that agree"):
        translate(pictures, strangers, store, FRONTEND, tmp_path / "cache", seed=1)
