"""Pictures to mel amplitudes: a small network learns the way on clips of which both exist, then goes it for the rest."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.features import AMPLITUDE_UNIT, MelStore
from edge_kws.data.spectrograms import Picture, read_pictures

EPOCHS = 6
BATCH = 64
_CHANNELS = 128
_DILATIONS = (1, 2, 4, 8, 16, 1)


def _log(amplitudes: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.log(np.maximum(amplitudes.astype(np.float32) * AMPLITUDE_UNIT, 1.0))


def _standardised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    x = pixels.astype(np.float32)
    return (x - x.mean(axis=(1, 2), keepdims=True)) / (x.std(axis=(1, 2), keepdims=True) + 1.0)


def translate(pictures: tuple[Picture, ...], pairs: dict[str, int], clips: MelStore, cache: Path, seed: int) -> NDArray[np.float16]:
    """Mel amplitudes of every picture (pictures, frames, mel_bins) float16 in units of `AMPLITUDE_UNIT`.

    Args:
        pictures: all pictures to translate.
        pairs: name of a training picture -> index in `clips` of the same recording.
        clips: amplitudes of the recordings.
        cache: file that keeps the result.
        seed: of the network and of the levels, which are drawn from those of the recordings since pictures have lost theirs.
    """
    if cache.exists():
        return np.load(cache, mmap_mode="r")
    frames, bins = clips.frames(0).shape
    pixels = read_pictures(pictures, frames, bins)
    rows = [row for row, picture in enumerate(pictures) if picture.name in pairs]
    targets = np.stack([_log(clips.frames(pairs[pictures[row].name])) for row in rows])
    levels = targets.mean(axis=(1, 2))
    model = _train(_standardised(pixels[rows]), targets - levels[:, np.newaxis, np.newaxis], seed)
    random = np.random.default_rng(seed)
    out = np.empty(pixels.shape, np.float16)
    for first in range(0, len(pixels), 1024):
        shape = model.predict_on_batch(_standardised(pixels[first : first + 1024]))
        level = random.choice(levels, (len(shape), 1, 1))
        out[first : first + len(shape)] = np.minimum(np.exp(shape + level) / AMPLITUDE_UNIT, 60000)
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_suffix(".part.npy")
    np.save(part, out)
    part.replace(cache)
    return out


def _train(inputs: NDArray[np.float32], targets: NDArray[np.float32], seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    x = source = keras.Input(inputs.shape[1:])
    for dilation in _DILATIONS:
        x = keras.layers.Conv1D(_CHANNELS, 3, padding="same", dilation_rate=dilation, activation="relu")(x)
    model = keras.Model(source, keras.layers.Conv1D(targets.shape[2], 3, padding="same")(x))
    steps = EPOCHS * (len(inputs) // BATCH + 1)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)), "mae")
    model.fit(inputs, targets, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model
