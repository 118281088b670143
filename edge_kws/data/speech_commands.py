"""Google Speech Commands (Warden 2018, arXiv:1804.03209) in its official layout: a folder a word, speaker hash in the file name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_kws.data.audio_files import audio_files, durations, existing_folder
from edge_kws.data.manifest import Clip, Manifest, Split, hash_split
from edge_kws.errors import ConfigError

SOURCE = "Speech Commands v0.02"
LICENSE = "CC-BY-4.0"
NOISE_FOLDER = "_background_noise_"
_LISTS: tuple[tuple[str, Split], ...] = (("validation_list.txt", "validation"), ("testing_list.txt", "test"))
_NEXT = "get it with `edge-kws data get speech-commands --to DIR`"


@dataclass(frozen=True)
class SpeechCommands:
    """All words (label = word) and, apart from them, the long background recordings."""

    manifest: Manifest
    noise: tuple[Path, ...]


def speaker_of(file_name: str) -> str:
    """`0d82fd99_nohash_0.wav` -> `0d82fd99`."""
    return re.sub(r"_nohash_.*$", "", file_name)


def load_speech_commands(root: Path | str, words: Sequence[str] | None = None, *, check_files: bool = True) -> SpeechCommands:
    """Reads a local copy, whole or in part.

    A clip named in `validation_list.txt` or `testing_list.txt` belongs there; any other goes where its speaker hash puts it. In the
    official release both say the same; in a copy with shortened lists the hash keeps test speakers out of training.

    Args:
        root: the folder that holds the word folders.
        words: the words to take; None for every folder not beginning with `_`.
        check_files: read the header of every file (about 20 s for the whole set).

    Raises:
        ConfigError: not such a folder, a word is missing or empty, the lists contradict each other, a file is unreadable.
    """
    folder = existing_folder(root, "Speech Commands")
    present = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
    if not present:
        raise ConfigError(f"{folder}: expected a folder a word (yes/, no/, ...), found none; {_NEXT}")
    missing = sorted(set(words or ()) - set(present))
    if missing:
        raise ConfigError(f"{folder}: expected a folder {missing[0]!r}, found {', '.join(present)}; correct the word or {_NEXT}")
    chosen = tuple(words) if words else tuple(present)
    listed = _listed_splits(folder)
    manifest = Manifest((clip for word in dict.fromkeys(chosen) for clip in _clips(folder, word, listed)), classes=chosen)
    noise = tuple(audio_files(folder / NOISE_FOLDER)) if (folder / NOISE_FOLDER).is_dir() else ()
    if check_files:
        manifest.check_files()
        durations(noise)
    return SpeechCommands(manifest, noise)


def _clips(folder: Path, word: str, listed: dict[str, Split]) -> list[Clip]:
    paths = audio_files(folder / word)
    if not paths:
        raise ConfigError(f"{folder / word}: expected recordings of {word!r}, found an empty class; {_NEXT}")
    speakers = [speaker_of(path.name) for path in paths]
    return [
        Clip(path, word, speaker, listed.get(f"{word}/{path.name}") or hash_split(speaker), SOURCE, LICENSE)
        for path, speaker in zip(paths, speakers, strict=True)
    ]


def _listed_splits(folder: Path) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    for name, split in _LISTS:
        path = folder / name
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: expected a list of WORD/FILE lines, found {error}; {_NEXT}") from error
        for line in filter(None, map(str.strip, lines)):
            if splits.setdefault(line, split) != split:
                raise ConfigError(f"{path}: {line} is in {_LISTS[0][0]} too; expected in one list; remove it from one of them")
    return splits
