"""`edge-kws data`: data sets to train with."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from edge_kws.data.published import Archive

data = typer.Typer(help="Get data sets to train with.", no_args_is_help=True)


class DataSet(StrEnum):
    """Data sets that can be downloaded."""

    SPEECH_COMMANDS = "speech-commands"


@data.callback()
def commands() -> None:
    """Get data sets to train with."""  # keeps `get` a command of its own: typer would fold a single one into `data`


@data.command()
def get(
    name: Annotated[DataSet, typer.Argument(metavar="NAME", help="Which data set: speech-commands (2.4 GB).", show_default=False)],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="DIR", help="Where data sets are kept; this one gets a folder of its own in it.", show_default=False),
    ],
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the downloaded archive after unpacking.")] = False,
) -> None:
    """Download a data set, check it and unpack it. Interrupted, the same command continues."""
    from edge_kws.data.published import SPEECH_COMMANDS

    get_speech_commands({DataSet.SPEECH_COMMANDS: SPEECH_COMMANDS}[name], to, keep_archive=keep_archive)


def get_speech_commands(archive: "Archive", to: Path, *, keep_archive: bool) -> None:
    """Gets `archive`, shows progress on stderr, reports on stdout what came and what to do next."""
    from edge_kws.data.speech_commands import load_speech_commands

    typer.echo(f"{archive.title}: {archive.size_bytes / 1e9:.1f} GB to download, to {to / archive.folder}")
    root = _get_with_progress(archive, to, keep_archive=keep_archive)
    manifest = load_speech_commands(root, check_files=False).manifest
    parts = ", ".join(f"{len(manifest.split(split)):,} {split}" for split in ("train", "validation", "test"))
    typer.echo(f"{root}: {len(manifest.clips):,} clips of {len(manifest.labels)} words ({parts})")
    typer.echo(f"next: edge-kws train recipes/commands.toml --data {to}")


def _get_with_progress(archive: "Archive", to: Path, *, keep_archive: bool) -> Path:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from edge_kws.data.published import get_archive

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as bars:
            tasks: dict[str, TaskID] = {}

            def show(stage: Literal["download", "unpack"], done: int, total: int | None) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total)
                bars.update(tasks[stage], completed=done, total=total)

            return get_archive(archive, to, show, keep_archive=keep_archive)
    except KeyboardInterrupt:
        typer.echo("edge-kws: stopped; the same command continues where it was", err=True)
        raise typer.Exit(130) from None
