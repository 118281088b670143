"""`edge-kws update`: a new model into a running board, without flashing its firmware."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_kws.errors import ConfigError


def update(
    pack: Annotated[str, typer.Argument(help="A shipped pack or a pack file.", metavar="PACK")],
    port: Annotated[str, typer.Option("--port", help="Serial port, or socket://HOST:PORT.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (PEM); refuse a pack that its private half did not sign.", metavar="PEM")
    ] = None,
) -> None:
    """Send a pack's model to a running board, which checks it and switches to it; one that replaces nothing comes on top."""
    from edge_kws.pack import Pack
    from edge_kws.pack_signature import verify_signature
    from edge_kws_boards.link import BoardLink
    from edge_kws_boards.update import update as send

    loaded = Pack.load(pack)
    if key is not None:
        try:
            pem = key.read_bytes()
        except OSError as error:
            raise ConfigError(f"{key}: expected a public key (PEM), found: {error.strerror}; check --key") from None
        verify_signature(loaded, pem)
    with BoardLink(port) as link:
        slot = send(link, loaded, progress=_progress if sys.stderr.isatty() else None)
    print(f"{link.info.board} runs {loaded.info.name} {loaded.info.version} from slot {slot}")


def _progress(sent: int, total: int) -> None:
    print(f"\r{sent:,} of {total:,} bytes", end="\n" if sent == total else "", file=sys.stderr, flush=True)
