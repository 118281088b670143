"""What a change of a recipe does, in minutes: trains a few epochs and prints each word's recall on validation recordings.

    python benchmarks/recipe_probe.py recipes/commands.toml --data ROOT
    python benchmarks/recipe_probe.py recipes/commands.toml --data ROOT --set frontend.pcan=true --set frontend.feature_divisor=666
    python benchmarks/recipe_probe.py recipes/commands.toml --data ROOT --withhold go,right

Withheld words keep 15 recordings, as `on` and `stop` have, and all their pictures: what pictures alone teach about real recordings.
"""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false

import argparse
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_kws.data.features import AMPLITUDE_UNIT, mel_store
from edge_kws.training.examples import Examples
from edge_kws.training.history import commit_at_hand
from edge_kws.training.loop import EpochReport, train
from edge_kws.training.material import prepare
from edge_kws.training.recipe import UNKNOWN, Recipe
from edge_kws.training.students import build_student

KEPT = 15
CLIPS, UNKNOWN_CLIPS = 150, 500


def main() -> None:
    """Trains as the arguments say and prints a row a class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="a TOML value that replaces the recipe's")
    parser.add_argument("--withhold", default="", metavar="WORD,WORD")
    arguments = parser.parse_args()
    recipe = changed(tomllib.loads(arguments.recipe.read_text()), [*arguments.set, f"training.epochs={arguments.epochs}"])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edge_kws" / "features"
    prepared = prepare(recipe, arguments.data, cache, print)
    withheld = [word for word in arguments.withhold.split(",") if word]
    for word in withheld:
        del prepared.training.words[word].recorded[KEPT:]
    examples = Examples(recipe, prepared.training)
    index = {label: i for i, label in enumerate(recipe.labels)}
    room = {label: UNKNOWN_CLIPS if label == UNKNOWN else CLIPS for label in index}
    paths: list[Path] = []
    labels: list[int] = []
    for row in np.random.default_rng(0).permutation(len(prepared.validation)):
        clip = prepared.validation[row]
        label = clip.label if clip.label in index else UNKNOWN
        if room[label]:
            room[label] -= 1
            paths.append(clip.path)
            labels.append(index[label])
    store = mel_store(paths, recipe.frontend_config, cache, clip_samples=recipe.clip_samples)
    clips = np.stack([store.frames(i) for i in range(len(store))]).astype(np.float32) * AMPLITUDE_UNIT
    validation = examples.model_input(examples.quantised(clips)), np.array(labels, np.int32)
    keras.utils.set_random_seed(recipe.seed)
    model = build_student(recipe.student, recipe.window_frames, recipe.frontend.mel_bins, len(recipe.labels))
    with tempfile.TemporaryDirectory() as folder:
        train(model, examples, recipe, Path(folder), validation, say, commit_at_hand())
    show(model, validation, index, withheld)


def say(report: EpochReport) -> None:
    """Prints an epoch."""
    print(f"epoch {report.epoch}  loss {report.loss:.3f}  {report.seconds:.0f} s", flush=True)


def changed(values: dict[str, Any], changes: list[str]) -> Recipe:
    """The recipe with `section.key=value` put in."""
    for change in changes:
        path, value = change.split("=", 1)
        section, key = path.split(".")
        values.setdefault(section, {})[key] = tomllib.loads(f"v = {value}")["v"]
    return Recipe.model_validate(values)


def show(model: Any, validation: tuple[Any, Any], index: dict[str, int], withheld: list[str]) -> None:
    """Prints recalls, and their means over the withheld words and over all others."""
    features, labels = validation
    predicted = np.concatenate([np.argmax(model(features[i : i + 256], training=False), axis=1) for i in range(0, len(features), 256)])
    recall = {label: float((predicted[labels == i] == i).mean()) for label, i in index.items() if (labels == i).any()}
    for label, value in recall.items():
        print(f"{label:12s} {100 * value:5.1f} % of {(labels == index[label]).sum()}{'  withheld' if label in withheld else ''}")
    groups = {"withheld": withheld, "others": [label for label in recall if label not in withheld]}
    for name, members in groups.items():
        if members:
            print(f"mean recall, {name}: {100 * np.mean([recall[label] for label in members]):.1f} %")


if __name__ == "__main__":
    main()
