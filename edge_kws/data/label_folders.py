"""A folder of label folders holding any audio files: the form in which most people keep recordings of their own."""

import re
from pathlib import Path

from edge_kws.data.audio_files import AUDIO_SUFFIXES, audio_files, captured_group, compile_pattern, existing_folder
from edge_kws.data.manifest import SPLITS, Clip, Manifest, hash_split
from edge_kws.errors import ConfigError

_NOISE_FOLDER = "_background_noise_"


def load_label_folders(
    root: Path | str,
    *,
    speaker_pattern: str | None = None,
    source: str | None = None,
    license: str = "unknown",
    check_files: bool = True,
) -> Manifest:
    r"""Reads `root/LABEL/FILE`, split 80/10/10 by a hash of the speaker, or `root/{train,validation,test}/LABEL/FILE` as it stands.

    Without a pattern the speaker is what stands before `_nohash_`, else before the first `_`, else the file is a speaker of its own.
    `_silence_` and `_unknown_` are labels like others; `_background_noise_` is left to `load_recordings`.

    Args:
        root: the folder of label folders, or of train/, validation/ and test/.
        speaker_pattern: regular expression whose first group is the speaker, searched in the file name (`^(\d+)-`), or in the path below
            `root` if it contains a `/` (`/([^/]+)/[^/]+$`).
        source: name for the ledger; by default the folder's.
        license: SPDX identifier for the ledger.
        check_files: read the header of every file.

    Raises:
        ConfigError: no label folder, an empty class, a speaker in two splits, a file without a speaker, an unreadable file.
    """
    folder = existing_folder(root, "label folders")
    pattern = compile_pattern(speaker_pattern, "speaker") if speaker_pattern is not None else None
    name = source or folder.resolve().name
    clips: list[Clip] = []
    if _is_split(folder):
        for split in SPLITS:
            for label, paths in label_files(folder / split).items():
                clips += [Clip(path, label, _speaker(path, folder, pattern), split, name, license) for path in paths]
    else:
        for label, paths in label_files(folder).items():
            speakers = [_speaker(path, folder, pattern) for path in paths]
            clips += [Clip(path, label, who, hash_split(who), name, license) for path, who in zip(paths, speakers, strict=True)]
    manifest = Manifest(clips)
    if check_files:
        manifest.check_files()
    return manifest


def label_files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The audio files of each label folder in `folder`, both sorted.

    Raises:
        ConfigError: no label folder, or one without audio.
    """
    labels = sorted(path for path in folder.iterdir() if path.is_dir() and path.name != _NOISE_FOLDER and not path.name.startswith("."))
    if not labels:
        raise ConfigError(f"{folder}: expected a folder a label, found none; put the recordings of each label in a folder of its name")
    files = {path.name: tuple(audio_files(path)) for path in labels}
    empty = [label for label, paths in files.items() if not paths]
    if empty:
        others = sorted({path.suffix or path.name for path in (folder / empty[0]).iterdir()})
        found = f"only {', '.join(others[:5])}" if others else "an empty folder"
        raise ConfigError(
            f"{folder / empty[0]}: expected audio of class {empty[0]!r} ({' '.join(sorted(AUDIO_SUFFIXES))}), found {found}; add some"
        )
    return files


def _is_split(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir() if path.is_dir() and path.name != _NOISE_FOLDER and not path.name.startswith(".")}
    if len(names) > 1 and names < set(SPLITS):
        missing = next(split for split in SPLITS if split not in names)
        raise ConfigError(
            f"{folder}: expected train/, validation/ and test/, found no {missing}/; add it, or put the label folders into {folder} itself"
        )
    return names == set(SPLITS)


def _speaker(path: Path, root: Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is not None:
        return captured_group(pattern, path, root, "speaker")
    for mark in ("_nohash_", "_"):
        before, found, _ = path.name.partition(mark)
        if found and before:
            return before
    return path.relative_to(root).as_posix()  # `0.wav` in two label folders need not be one speaker
