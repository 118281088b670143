"""Data sets that somebody publishes as one archive: where each lies, what it must hash to, how it comes into a folder."""

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_kws.data.archive import extract
from edge_kws.data.download import fetch
from edge_kws.errors import ConfigError


@dataclass(frozen=True)
class Archive:
    """A data set somebody publishes as one archive. `landmarks` are paths that its unpacked folder always holds."""

    name: str
    title: str
    url: str
    sha256: str
    size_bytes: int
    folder: str
    landmarks: tuple[str, ...]


# Checksum and size as in tensorflow_datasets (url_checksums/speech_commands.txt); torchaudio lists the same checksum.
SPEECH_COMMANDS = Archive(
    name="speech-commands",
    title="Speech Commands v0.02 (Pete Warden, Google; CC BY 4.0)",
    url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    size_bytes=2_428_923_189,
    folder="speech_commands",
    landmarks=("_background_noise_", "validation_list.txt", "testing_list.txt"),
)


def get_archive(
    archive: Archive,
    to: Path,
    progress: Callable[[Literal["download", "unpack"], int, int | None], None] | None = None,
    *,
    keep_archive: bool = False,
) -> Path:
    """Downloads and unpacks a data set into `to / archive.folder`; continues what was interrupted, does nothing when it is there.

    Returns:
        The data set's folder.

    Raises:
        ConfigError: the folder holds something else, or `fetch` or `extract` failed.
    """
    root = to / archive.folder
    if root.is_dir() and any(root.iterdir()):
        missing = [mark for mark in archive.landmarks if not (root / mark).exists()]
        if missing:
            raise ConfigError(
                f"{root}: expected {archive.title} or no such folder, found a folder without {missing[0]}; move it away and run this again"
            )
        return root
    packed = to / urllib.parse.urlsplit(archive.url).path.rpartition("/")[2]

    def downloading(done: int, total: int | None) -> None:
        if progress:
            progress("download", done, total)

    def unpacking(done: int, total: int) -> None:
        if progress:
            progress("unpack", done, total)

    fetch(archive.url, packed, archive.sha256, downloading, size_bytes=archive.size_bytes)
    extract(packed, root, progress=unpacking)
    if not keep_archive:
        packed.unlink()
    return root
