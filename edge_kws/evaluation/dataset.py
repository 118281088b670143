"""Finds the recordings of an evaluation folder and says what is wrong with it before hours of audio are run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_kws.errors import ConfigError

SIDECAR_SUFFIXES = frozenset({".txt", ".md", ".csv", ".tsv", ".json", ".toml", ".html", ".pdf"})
"""Files that data sets carry beside their audio; everything else in a folder has to be a recording."""

UNSORTED = "unsorted"
"""Stratum of negatives that lie directly in the negative folder."""


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """Clips of a keywords evaluation: (path, label) pairs, and the pack's labels that have no folder."""

    clips: tuple[tuple[Path, str], ...]
    missing_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WakeWordRecordings:
    """Recordings of a wake-word evaluation: positives, and negatives by stratum (never pooled without it)."""

    positives: tuple[Path, ...]
    negatives: dict[str, tuple[Path, ...]]


def find_clips(root: Path, labels: Sequence[str]) -> LabelledClips:
    """The clips in `root`, which holds one folder per label of the pack (`_silence_` and `_unknown_` included).

    Raises:
        ConfigError: `root` is not a folder, holds a folder that is no label, no label folder at all, or an empty one.
    """
    folders = _folders(root)
    unknown = [name for name in folders if name not in labels]
    if unknown:
        raise ConfigError(
            f"{root}: folder {unknown[0]!r} is not a label of the pack; expected folders named {_names(labels)}; rename or move it away"
        )
    missing = tuple(label for label in labels if label not in folders)
    if len(missing) == len(labels):
        raise ConfigError(f"{root}: no label folder found; expected folders named {_names(labels)}")
    clips = [(path, label) for label in labels if label in folders for path in _recordings(folders[label])]
    return LabelledClips(tuple(clips), missing)


def find_wake_word_recordings(root: Path, label: str) -> WakeWordRecordings:
    """The recordings in `root`: `positive/` (or a folder named after the label) and `negative/`, whose subfolders are strata.

    Raises:
        ConfigError: a folder is missing, empty, or not one of these.
    """
    folders = _folders(root)
    expected = f"expected 'positive' (or {label!r}) with recordings of the word and 'negative' with a subfolder a kind of other audio"
    stray = [name for name in folders if name not in {"positive", label, "negative"}]
    if stray:
        raise ConfigError(f"{root}: folder {stray[0]!r} has no meaning here; {expected}; move it into 'negative' or away")
    named = sorted({"positive", label} & set(folders))
    if len(named) != 1 or "negative" not in folders:
        raise ConfigError(f"{root}: found {_names(list(folders)) or 'no folders'}; {expected}")
    negative = folders["negative"]
    strata = {name: _recordings(folder) for name, folder in _folders(negative).items()}
    loose = _files(negative)
    if loose:
        strata[UNSORTED] = (*strata.get(UNSORTED, ()), *loose)
    if not strata:
        raise ConfigError(f"{negative}: empty; {expected}")
    return WakeWordRecordings(_recordings(folders[named[0]]), strata)


def _folders(root: Path) -> dict[str, Path]:
    """Visible subfolders by name, sorted."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing there"
        raise ConfigError(f"{root}: expected a folder of recordings, found {found}; give --data a folder")
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def _files(folder: Path) -> tuple[Path, ...]:
    """Recordings lying directly in `folder`, sorted."""
    return tuple(sorted(path for path in folder.iterdir() if path.is_file() and _is_recording(path.name)))


def _recordings(folder: Path) -> tuple[Path, ...]:
    """Recordings anywhere under `folder`, sorted, links followed; each real folder is visited once, so a link cycle ends."""
    found: list[Path] = []
    visited: set[str] = set()
    for where, subfolders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(where, name) for name in names if _is_recording(name)]
    if not found:
        raise ConfigError(f"{folder}: no recordings in it; add some or remove the folder")
    return tuple(sorted(found))


def _is_recording(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() not in SIDECAR_SUFFIXES


def _names(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
