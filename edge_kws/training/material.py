"""Finds a recipe's data below a root, computes its features and splits it: what `Examples` draws from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.features import MelStore, mel_store
from edge_kws.data.long_recordings import Recording, load_recordings
from edge_kws.data.manifest import Clip, Split
from edge_kws.data.spectrograms import load_pictures
from edge_kws.data.speech_commands import LICENSE, SOURCE, load_speech_commands
from edge_kws.errors import ConfigError
from edge_kws.pack_info import DataSource
from edge_kws.training.examples import Material, Word
from edge_kws.training.recipe import Recipe, RecordingsSection
from edge_kws.training.translation import Translated, translate

Say = Callable[[str], None]
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Prepared:
    """Training material, and the recordings of the other splits for validation and evaluation.

    `validation` and `test` are clips of every word; `validation_pictures` (n, frames, mel_bins) float16 with their labels;
    `held_out_negatives` by source and `held_out_noise` are recordings that training does not see.
    """

    training: Material
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    validation_pictures: NDArray[np.float16] | None
    validation_picture_labels: tuple[str, ...]
    held_out_negatives: dict[str, tuple[Recording, ...]]
    held_out_noise: tuple[Recording, ...]
    ledger: tuple[DataSource, ...]


def prepare(recipe: Recipe, root: Path, cache: Path, say: Say) -> Prepared:
    """Reads the data sets and fills the feature cache.

    Raises:
        ConfigError: a data set that is missing, a class without training clips, speakers in two splits.
        AudioError: an unreadable recording.
    """
    frontend = recipe.frontend_config
    speech = load_speech_commands(root / recipe.data.speech_commands)
    missing = [word for word in recipe.keywords if word not in speech.manifest.labels]
    if missing:
        raise ConfigError(
            f"{root / recipe.data.speech_commands}: expected recordings of {missing[0]!r}, found no such folder; see keywords"
        )
    clips = speech.manifest.split("train")
    say(f"features of {len(clips)} clips")
    store = mel_store([clip.path for clip in clips], frontend, cache, clip_samples=recipe.clip_samples, progress=_progress(say))
    words = {label: Word() for label in speech.manifest.labels}
    for row, clip in enumerate(clips):
        words[clip.label].recorded.append(row)

    pictures, held_out, held_out_labels, ledger = _pictures(recipe, root, cache, store, clips, words, say)
    noise, quiet_rows = _recordings(recipe.data.noise, root)
    noise_paths = [*speech.noise, *(recording.path for recording in noise)]
    negatives, negative_rows = _recordings(recipe.data.negatives, root)
    say(f"features of {len(noise_paths)} noise and {len(negatives)} other recordings")
    material = Material(
        words,
        store,
        pictures,
        mel_store(noise_paths, frontend, cache),
        mel_store([r.path for r in negatives], frontend, cache) if negatives else None,
    )
    hours = len(clips) * recipe.clip_ms / 1000 / _SECONDS_PER_HOUR
    own = DataSource(name="Speech Commands", use="train", license=LICENSE, source=SOURCE, clips=len(clips), hours=round(hours, 2))
    return Prepared(
        material,
        speech.manifest.split("validation"),
        speech.manifest.split("test"),
        held_out,
        held_out_labels,
        {s.source: tuple(r for r in _load(s, root) if r.split != "train") for s in recipe.data.negatives if (root / s.path).is_dir()},
        tuple(r for s in recipe.data.noise if (root / s.path).is_dir() for r in _load(s, root) if r.split != "train"),
        (own, *ledger, *quiet_rows, *negative_rows),
    )


def _progress(say: Say) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % 2560 == 0 or done == total:
            say(f"  {done}/{total}")

    return report


def _pictures(
    recipe: Recipe, root: Path, cache: Path, store: MelStore, clips: Sequence[Clip], words: dict[str, Word], say: Say
) -> tuple[Translated | None, NDArray[np.float16] | None, tuple[str, ...], list[DataSource]]:
    """Training pictures (added to `words`), validation pictures with labels, and the ledger's line."""
    if recipe.data.spectrograms is None or not (root / recipe.data.spectrograms).is_dir():
        return None, None, (), []
    pictures = load_pictures(root / recipe.data.spectrograms)
    say(f"translating {len(pictures)} pictures to features")
    pairs = {f"{clip.label}/{clip.path.stem}": row for row, clip in enumerate(clips)}
    training = {name: pairs[name] for picture in pictures if (name := picture.name) in pairs and picture.split == "train"}
    frontend = recipe.frontend_config
    translated = translate(pictures, training, store, frontend, cache / f"pictures-{len(pictures)}-{frontend.digest()[:12]}", recipe.seed)
    for row, picture in enumerate(pictures):
        # A picture whose recording is here teaches nothing new, but keeps the translation's traits from telling words apart.
        if picture.split == "train" and picture.label in words:
            words[picture.label].pictured.append(row)
    held = [row for row, picture in enumerate(pictures) if picture.split == "validation"]
    line = DataSource(
        name="Speech Commands pictures",
        use="train",
        license=LICENSE,
        source=f"{SOURCE}, as log-mel pictures translated to features",
        clips=sum(picture.split == "train" for picture in pictures),
    )
    return translated, np.asarray(translated.amplitudes[held]), tuple(pictures[row].label for row in held), [line]


def _load(section: RecordingsSection, root: Path) -> tuple[Recording, ...]:
    splits: dict[str, Split] | None = None
    if section.validation_groups is not None or section.evaluation_only:
        found = load_recordings(root / section.path, section.group, source=section.source, license=section.license)
        rest: Split = "test" if section.evaluation_only else "train"
        splits = {r.group: "validation" if r.group in (section.validation_groups or ()) else rest for r in found}
    return load_recordings(root / section.path, section.group, source=section.source, license=section.license, splits=splits)


def _recordings(sections: Iterable[RecordingsSection], root: Path) -> tuple[list[Recording], list[DataSource]]:
    """Training recordings of all sections, and the ledger's line of each section."""
    recordings: list[Recording] = []
    lines: list[DataSource] = []
    for section in sections:
        if section.optional and not (root / section.path).is_dir():
            continue
        used = [r for r in _load(section, root) if section.evaluation_only or r.split == "train"]
        lines.append(
            DataSource(
                name=Path(section.path).name,
                use="evaluation" if section.evaluation_only else "train",
                license=section.license,
                source=section.source,
                clips=len(used),
                hours=round(sum(r.duration_s for r in used) / _SECONDS_PER_HOUR, 2),
            )
        )
        recordings += [r for r in used if r.split == "train"]
    return recordings, lines
