"""`edge-kws train`: recipe to pack."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (TOML); see recipes/.", metavar="RECIPE")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds the data sets the recipe names.")] = Path("data"),
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for checkpoints and the pack. Default: runs/NAME.")] = None,
) -> None:
    """Train a recipe into a pack. Interrupted, it continues when run again."""
    import os

    from edge_kws.training.recipe import read_recipe

    validated, text = read_recipe(recipe)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on the machine bury the progress
    from edge_kws.training.pipeline import run

    folder = out or Path("runs") / validated.name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edge_kws" / "features"
    run(validated, text, data, folder, cache, lambda line: typer.echo(line))
