"""Clips on disk: WAV files that appear whole or not at all.

Fresh ones lie in `clips/`, those a person labelled in `filed/PACK/LABEL/`, a folder of label folders ready to train on.
"""

import io
import os
import re
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws.events import SAMPLE_RATE_HZ

FRESH = "clips"
_SUFFIX, _TEMPORARY = ".wav", ".part"


def wav_bytes(pcm: NDArray[np.int16]) -> bytes:
    """A WAV file of PCM (samples,) int16, 16 kHz mono."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def drawer(pack: str, label: str) -> str:
    """The folder, relative to the state folder, of clips filed under a label of a pack."""
    return "/".join(("filed", *(re.sub(r"[^\w-]", "_", name) for name in (pack, label))))


class ClipFolder:
    """Numbered WAV files below a folder. Every method raises OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, clip: int, drawer: str = FRESH) -> Path:
        """Where a clip lies."""
        return self.folder / drawer / f"{clip:013d}{_SUFFIX}"

    def write(self, clip: int, pcm: NDArray[np.int16], drawer: str = FRESH) -> int:
        """Writes a clip so that a power cut leaves all of it or nothing; returns its size in bytes."""
        path, data = self.path(clip, drawer), wav_bytes(pcm)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(_TEMPORARY)
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)
        return len(data)

    def move(self, clip: int, source: str, target: str) -> None:
        """Moves a clip to another drawer."""
        path = self.path(clip, target)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path(clip, source).replace(path)
        _sync(path.parent)

    def read(self, clip: int, drawer: str = FRESH) -> bytes | None:
        """The WAV file, None where it has gone."""
        try:
            return self.path(clip, drawer).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, clip: int, drawer: str = FRESH) -> None:
        """Removes a clip; harmless where it has gone."""
        self.path(clip, drawer).unlink(missing_ok=True)

    def found(self) -> Iterator[tuple[int, str, int]]:
        """Number, drawer and size of every clip there is. What a power cut left half written is removed on the way."""
        for top in (FRESH, "filed"):
            for file in sorted((self.folder / top).rglob("*")):
                if file.suffix == _TEMPORARY:
                    file.unlink(missing_ok=True)
                elif file.suffix == _SUFFIX and file.stem.isdecimal():
                    yield int(file.stem), file.parent.relative_to(self.folder).as_posix(), file.stat().st_size


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
