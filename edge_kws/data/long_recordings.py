"""Recordings without a label: noise, rooms, continuous speech. What a keyword must not be heard in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_kws.data.audio_files import audio_files, captured_group, compile_pattern, durations, existing_folder
from edge_kws.data.manifest import Split, hash_split
from edge_kws.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording. `group` ties recordings that must not be torn apart (a speaker, a room, a fold)."""

    path: Path
    group: str
    split: Split
    duration_s: float
    source: str
    license: str


def load_recordings(
    root: Path | str,
    pattern: str | None = None,
    *,
    source: str | None = None,
    license: str = "unknown",
    splits: Mapping[str, Split] | None = None,
) -> tuple[Recording, ...]:
    r"""Every audio file below `root`, sorted by path.

    Args:
        root: a folder with audio at any depth.
        pattern: regular expression whose first group is the recording's group, searched in the file name (LibriSpeech speakers `^(\d+)-`,
            ESC-10 folds `^(\d)-`), or in the path below `root` if it contains a `/`; None makes each file a group.
        source: name for the ledger; by default the folder's.
        license: SPDX identifier for the ledger.
        splits: the split of each group, where the data set has one of its own; every group must be named. By default 80/10/10 by a hash
            of the group's name, which needs many groups: with a handful (ESC-10 folds) say it here.

    Raises:
        ConfigError: no audio, a file without a group or of an unnamed one, an unreadable file.
    """
    folder = existing_folder(root, "recordings")
    compiled = compile_pattern(pattern, "group") if pattern is not None else None
    paths = audio_files(folder, recursive=True)
    if not paths:
        raise ConfigError(f"{folder}: expected recordings, found no audio file; check the path")
    name = source or folder.resolve().name
    groups = [captured_group(compiled, path, folder, "group") if compiled else path.relative_to(folder).as_posix() for path in paths]
    if splits is not None:
        for path, group in zip(paths, groups, strict=True):
            if group not in splits:
                raise ConfigError(
                    f"{path}: group {group!r} has no split; expected one of {', '.join(sorted(splits))}; name its split or leave it out"
                )
    return tuple(
        Recording(path, group, splits[group] if splits is not None else hash_split(group), seconds, name, license)
        for path, group, seconds in zip(paths, groups, durations(paths), strict=True)
    )
