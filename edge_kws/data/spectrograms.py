"""Pictures of log-mel spectrograms whose audio is missing: grey JPEG, one row a frame, one column a mel bin, level lost in each file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.manifest import Split, hash_split
from edge_kws.data.speech_commands import speaker_of
from edge_kws.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; `name` is `word/file` without suffix, as the clip it was made of."""

    path: Path
    label: str
    name: str
    split: Split


def load_pictures(root: Path) -> tuple[Picture, ...]:
    """Every `word/<speaker>_nohash_<n>.jpg` below `root`, sorted; split by the official speaker hash.

    Raises:
        ConfigError: no such folder, or no picture in it.
    """
    paths = sorted(root.glob("*/*.jpg"))
    if not paths:
        raise ConfigError(f"{root}: expected pictures word/<speaker>_nohash_<n>.jpg, found none; correct data.spectrograms or remove it")
    return tuple(Picture(p, p.parent.name, f"{p.parent.name}/{p.stem}", hash_split(speaker_of(p.name))) for p in paths)


def read_pictures(pictures: tuple[Picture, ...], frames: int, bins: int) -> NDArray[np.uint8]:
    """(pictures, frames, bins) uint8.

    Raises:
        ConfigError: an unreadable picture or one of another size.
    """
    from PIL import Image

    out = np.empty((len(pictures), frames, bins), np.uint8)
    for row, picture in enumerate(pictures):
        try:
            with Image.open(picture.path) as image:
                pixels = np.asarray(image.convert("L"))
        except OSError as error:
            raise ConfigError(f"{picture.path}: expected a picture, found {error}; repair or remove it") from error
        if pixels.shape != (frames, bins):
            raise ConfigError(f"{picture.path}: expected {frames} x {bins} pixels, found {pixels.shape[0]} x {pixels.shape[1]}")
        out[row] = pixels
    return out
