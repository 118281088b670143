"""`edge-kws service`: the daemon."""

from pathlib import Path
from typing import Annotated

import typer

service = typer.Typer(help="The daemon: microphones in, events out, day and night.", no_args_is_help=True)

_CONFIG = typer.Option("--config", metavar="FILE", help="The config (TOML), see `edge-kws service config --example`.", show_default=False)
_USER = typer.Option("--user", help="The service of this user, in their session, instead of the whole machine's.")
_EXAMPLE = typer.Option("--example", help="Print a commented example, which is a valid config.")
_CHECK = typer.Option("--check", metavar="FILE", help="Check a config and the packs it names.", show_default=False)


@service.callback()
def commands() -> None:
    """The daemon: microphones in, events out, day and night."""


@service.command()
def run(config: Annotated[Path, _CONFIG]) -> None:
    """Run in the foreground until Ctrl-C. SIGHUP reads the config again."""
    from edge_kws.service.run import run

    run(config)


@service.command()
def config(example: Annotated[bool, _EXAMPLE] = False, check: Annotated[Path | None, _CHECK] = None) -> None:
    """Print an example of a config, or check one."""
    if check is not None:
        _check(check)
    elif example:
        from edge_kws.service.install import example_config

        print(example_config(), end="")
    else:
        raise typer.BadParameter("expected --example or --check FILE")


def _check(path: Path) -> None:
    from edge_kws.service.config import read_config
    from edge_kws.service.packs import load_packs

    found = read_config(path)
    for entry in found.inputs:
        for pack in load_packs(entry.packs, f"{path}: input {entry.name}"):
            trust = f"{pack.signature}, threshold {pack.threshold:.3f}, priority {pack.priority}"
            print(f"{entry.name}: {pack.name} {pack.pack.info.version}, {trust}")
    print(f"{path}: good; {len(found.sinks)} sinks, clips are {'kept' if found.retention.clips else 'not kept'}")


@service.command()
def install(user: Annotated[bool, _USER] = False) -> None:
    """Write config and systemd unit, and start the service."""
    from edge_kws.service.install import Installation

    for line in Installation(user).install():
        print(line)


@service.command()
def status(user: Annotated[bool, _USER] = False) -> None:
    """Show how the service is."""
    from edge_kws.service.install import Installation

    raise typer.Exit(Installation(user).status())


@service.command()
def logs(
    user: Annotated[bool, _USER] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as lines come, until Ctrl-C.")] = False,
) -> None:
    """Show the service's journal."""
    from edge_kws.service.install import Installation

    raise typer.Exit(Installation(user).logs(follow=follow))


@service.command()
def uninstall(user: Annotated[bool, _USER] = False) -> None:
    """Stop the service and remove its unit. Config, events and clips stay."""
    from edge_kws.service.install import Installation

    for line in Installation(user).uninstall():
        print(line)
