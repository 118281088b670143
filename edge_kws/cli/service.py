"""`edge-kws service`: the daemon."""

from pathlib import Path
from typing import Annotated

import typer

service = typer.Typer(help="The daemon: microphones in, events out, day and night.", no_args_is_help=True)

_CONFIG = typer.Option("--config", metavar="FILE", help="The config, TOML; see `edge-kws service config --example`.", show_default=False)


@service.callback()
def commands() -> None:
    """The daemon: microphones in, events out, day and night."""


@service.command()
def run(config: Annotated[Path, _CONFIG]) -> None:
    """Run in the foreground, until Ctrl-C; SIGHUP reads the config again."""
    from edge_kws.service.run import run

    run(config)
