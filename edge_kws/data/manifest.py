"""Which clip teaches, validates or tests which class, and who speaks in it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_kws.data.audio_files import durations
from edge_kws.errors import ConfigError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_HASH_MODULUS = 2**27  # MAX_NUM_WAVS_PER_CLASS + 1 of the official rule


def hash_split(key: str, validation_percent: float = 10.0, test_percent: float = 10.0) -> Split:
    """The split of a speaker or group, from its name alone, so that it stays when files are added.

    This is `which_set` of the Speech Commands README (Warden 2018, arXiv:1804.03209, section 5.10): SHA-1 of the name, as a percentage.
    """
    digest = int(hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest(), 16)
    percent = (digest % _HASH_MODULUS) * (100.0 / (_HASH_MODULUS - 1))
    if percent < validation_percent:
        return "validation"
    return "test" if percent < validation_percent + test_percent else "train"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of one label. `speaker` is unique within `source`."""

    path: Path
    label: str
    speaker: str
    split: Split
    source: str
    license: str


@dataclass(frozen=True, init=False)
class Manifest:
    """Clips in a fixed order (label, path), proven fit to train on.

    Args:
        clips: any order; clips of several sources may be joined: `Manifest([*a.clips, *b.clips])`.
        classes: labels that must be there; by default those that `clips` name.

    Raises:
        ConfigError: no clips, a class without a training clip, a file listed twice, or a speaker in two splits.
    """

    clips: tuple[Clip, ...]

    def __init__(self, clips: Iterable[Clip], classes: Sequence[str] | None = None) -> None:
        ordered = tuple(sorted(clips, key=lambda clip: (clip.label, clip.path.as_posix())))
        object.__setattr__(self, "clips", ordered)
        if not ordered and not classes:
            raise ConfigError("a data set without a single clip; check the folder")
        self._require_training_clips(classes)
        self._require_distinct_files()
        self._require_speakers_apart()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that clips carry, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    def split(self, split: Split) -> tuple[Clip, ...]:
        """The clips of one split, in order."""
        return tuple(clip for clip in self.clips if clip.split == split)

    def counts(self) -> dict[str, dict[Split, int]]:
        """Clips of each label in each split."""
        tally = Counter((clip.label, clip.split) for clip in self.clips)
        return {label: {split: tally[label, split] for split in SPLITS} for label in self.labels}

    def check_files(self) -> tuple[float, ...]:
        """Reads every header; returns seconds in the order of `clips`. Some 5,000 files a second.

        Raises:
            ConfigError: names the first file that is not whole audio.
        """
        return tuple(durations([clip.path for clip in self.clips]))

    def summary(self) -> str:
        """A table for people: clips per label and split, and speakers per split."""
        speakers = {split: len({(clip.source, clip.speaker) for clip in self.split(split)}) for split in SPLITS}
        counts = self.counts()
        totals = {split: sum(row[split] for row in counts.values()) for split in SPLITS}
        width = max(len(label) for label in (*self.labels, "speakers"))
        rows = [*counts.items(), ("all", totals), ("speakers", speakers)]
        lines = [f"{'':<{width}}" + "".join(f"{split:>12}" for split in SPLITS)]
        lines += [f"{name:<{width}}" + "".join(f"{row[split]:>12,}" for split in SPLITS) for name, row in rows]
        return "\n".join(lines)

    def _require_training_clips(self, classes: Sequence[str] | None) -> None:
        counts = self.counts()
        nothing: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        empty = [label for label in sorted({*(classes or ()), *counts}) if counts.get(label, nothing)["train"] == 0]
        if not empty:
            return
        found = counts.get(empty[0], nothing)
        others = f" (also {', '.join(map(repr, empty[1:6]))}{', ...' if len(empty) > 6 else ''})" if len(empty) > 1 else ""
        speakers = len({clip.speaker for clip in self.clips if clip.label == empty[0]})
        raise ConfigError(
            f"class {empty[0]!r}: expected at least one clip in train, found none "
            f"(validation {found['validation']}, test {found['test']}, {speakers} speakers){others}; add recordings of other speakers, "
            "or lay the folder out as train/, validation/ and test/"
        )

    def _require_distinct_files(self) -> None:
        path, times = Counter(clip.path for clip in self.clips).most_common(1)[0]
        if times > 1:
            labels = sorted({clip.label for clip in self.clips if clip.path == path})
            raise ConfigError(f"{path}: listed {times} times (as {', '.join(labels)}); list each file once")

    def _require_speakers_apart(self) -> None:
        where: defaultdict[tuple[str, str], dict[Split, list[Clip]]] = defaultdict(dict)
        for clip in self.clips:
            where[clip.source, clip.speaker].setdefault(clip.split, []).append(clip)
        torn = sorted(key for key, splits in where.items() if len(splits) > 1)
        if not torn:
            return
        source, speaker = torn[0]
        found = where[torn[0]]
        places = " and ".join(f"{split} ({len(found[split])} clips, first {found[split][0].path})" for split in SPLITS if split in found)
        raise ConfigError(
            f"speaker {speaker!r} of {source}: expected in one split, found in {places}; speakers in more than one split: {len(torn)}; "
            "move each speaker to one split, or correct the speaker pattern"
        )
