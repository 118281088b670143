"""Pictures to mel amplitudes: a small network learns the way on clips of which both exist, then goes it for the rest."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.augmentation import mel_centres
from edge_kws.data.features import AMPLITUDE_UNIT, MelStore
from edge_kws.data.spectrograms import Picture, read_pictures
from edge_kws.errors import ConfigError
from edge_kws.frontend import FrontendConfig

STEPS = 600
BATCH = 64
TEXTURES = 512
"""Pairs kept from the network's training; what it got wrong on them is the texture that its guesses lack."""
_CHANNELS = 128
_DILATIONS = (1, 2, 4, 8, 16, 1)
_PICTURE_HZ = (20.0, 4000.0)
_NEPERS, _OFFSET = 0.0513, 0.845
"""Log amplitude of a grey level: fitted to recordings of which the pictures are at hand."""
_MAX_LAG = 12
_ALIKE = 0.93
"""Least correlation of a picture and its recording, below 4 kHz; pictures that were shifted or mixed with noise stay below."""


@dataclass(frozen=True)
class Translated:
    """What pictures become.

    `amplitudes` (pictures, frames, mel_bins) float16 in units of `AMPLITUDE_UNIT`: smooth, as any best guess is.
    `textures` (n, frames, mel_bins) float16: factors by which guesses and truth differed on recordings kept aside.
    """

    amplitudes: NDArray[np.float16]
    textures: NDArray[np.float16]


def translate(
    pictures: tuple[Picture, ...], pairs: dict[str, int], clips: MelStore, frontend: FrontendConfig, cache: Path, seed: int
) -> Translated:
    """Mel amplitudes of every picture.

    Args:
        pictures: all pictures to translate.
        pairs: name of a training picture -> index in `clips` of the same recording.
        clips: amplitudes of the recordings.
        frontend: whose mel bins the amplitudes are.
        cache: folder that keeps the result.
        seed: of the network and of the choice of pairs kept aside.

    Raises:
        ConfigError: too few pictures agree with their recordings.
    """
    files = cache / "amplitudes.npy", cache / "textures.npy"
    if all(file.exists() for file in files):
        return Translated(np.load(files[0], mmap_mode="r"), np.load(files[1], mmap_mode="r"))
    frames, bins = clips.frames(0).shape
    pixels = read_pictures(pictures, frames, bins)
    rows = np.array([row for row, picture in enumerate(pictures) if picture.name in pairs])
    targets = np.stack([_log(clips.frames(pairs[pictures[row].name])) for row in rows])
    alike = aligned(pixels[rows], targets, frontend)
    if alike.sum() < 2 * BATCH:
        raise ConfigError(
            f"{pictures[0].path.parent.parent}: expected pictures of the recordings at hand, found {alike.sum()} that agree with theirs; "
            "remove data.spectrograms"
        )
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(alike))
    aside, rest = np.split(chosen, [min(TEXTURES, len(chosen) // 4)])
    model = _train(_inputs(pixels[rows[rest]], frontend), targets[rest], seed)
    out = np.empty(pixels.shape, np.float16)
    for first in range(0, len(pixels), 1024):
        guess = np.exp(model.predict_on_batch(_inputs(pixels[first : first + 1024], frontend)))
        out[first : first + len(guess)] = np.minimum(guess / AMPLITUDE_UNIT, 60000)
    textures = np.exp(targets[aside] - _log(out[rows[aside]])).astype(np.float16)
    cache.mkdir(parents=True, exist_ok=True)
    for file, array in zip(files, (out, textures), strict=True):
        part = file.with_suffix(".part.npy")
        np.save(part, array)
        part.replace(file)
    return Translated(out, textures)


def aligned(pixels: NDArray[np.uint8], targets: NDArray[np.float32], frontend: FrontendConfig) -> NDArray[np.bool_]:
    """Which pictures (n, frames, bins) show their recordings (n, frames, mel_bins; log) as they are: neither shifted nor noisy."""
    own, theirs = mel_centres(frontend.lower_hz, frontend.upper_hz, targets.shape[2]), mel_centres(*_PICTURE_HZ, pixels.shape[2])
    both = np.flatnonzero((own >= theirs[0]) & (own <= theirs[-1]))
    seen, heard = resampled(pixels, frontend)[:, :, both], targets[:, :, both]
    here, elsewhere = _correlation(seen, heard), np.full(len(pixels), -1.0, np.float32)
    for lag in range(1, _MAX_LAG + 1):
        elsewhere = np.maximum(elsewhere, _correlation(seen[:, lag:], heard[:, :-lag]))
        elsewhere = np.maximum(elsewhere, _correlation(seen[:, :-lag], heard[:, lag:]))
    return (here > _ALIKE) & (here > elsewhere)


def resampled(pixels: NDArray[np.uint8], frontend: FrontendConfig) -> NDArray[np.float32]:
    """Log amplitudes (n, frames, mel_bins) of pictures (n, frames, bins): read off at each mel bin's centre, the last held above."""
    theirs = mel_centres(*_PICTURE_HZ, pixels.shape[2])
    position = np.interp(mel_centres(frontend.lower_hz, frontend.upper_hz, frontend.mel_bins), theirs, np.arange(len(theirs)))
    left = np.minimum(position.astype(int), len(theirs) - 2)
    part = position - left
    greys = pixels[:, :, left] * (1 - part) + pixels[:, :, left + 1] * part
    return (greys * _NEPERS + _OFFSET).astype(np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    a = a - a.mean(axis=(1, 2), keepdims=True)
    b = b - b.mean(axis=(1, 2), keepdims=True)
    return (a * b).sum(axis=(1, 2)) / np.sqrt(np.square(a).sum(axis=(1, 2)) * np.square(b).sum(axis=(1, 2)) + 1e-9)


def _log(amplitudes: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.log(np.maximum(amplitudes.astype(np.float32) * AMPLITUDE_UNIT, 1.0))


def _inputs(pixels: NDArray[np.uint8], frontend: FrontendConfig) -> list[NDArray[np.float32]]:
    return [((pixels.astype(np.float32) - 64) / 64).astype(np.float32), resampled(pixels, frontend)]


def _train(inputs: list[NDArray[np.float32]], targets: NDArray[np.float32], seed: int) -> Any:
    """A network that corrects what was read off and guesses what lies above the pictures' upper end."""
    import keras

    keras.utils.set_random_seed(seed)
    pixels, read_off = (keras.Input(array.shape[1:]) for array in inputs)
    x = pixels
    for dilation in _DILATIONS:
        x = keras.layers.Conv1D(_CHANNELS, 3, padding="same", dilation_rate=dilation, activation="relu")(x)
    correction = keras.layers.Conv1D(targets.shape[2], 3, padding="same")(x)
    model = keras.Model([pixels, read_off], keras.layers.Add()([read_off, correction]))
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, STEPS)), "mae")
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        chosen = random.integers(len(targets), size=BATCH)
        model.train_on_batch([array[chosen] for array in inputs], targets[chosen])
    return model
