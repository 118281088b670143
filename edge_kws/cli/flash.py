"""`edge-kws flash`: an image onto its board, the board's own way."""

from pathlib import Path
from typing import Annotated

import typer

_EXIT_INTERRUPTED = 130


def flash(
    folder: Annotated[Path, typer.Argument(help="What `edge-kws build` wrote.", metavar="DIR")],
    port: Annotated[
        str | None, typer.Option("--port", help="Emulated boards: where to listen, socket://127.0.0.1:PORT; a free port if not given.")
    ] = None,
) -> None:
    """Put a firmware image onto its board. For an emulated board that means starting it; it runs until Ctrl-C."""
    from edge_kws_boards.flash import emulate, read_build

    built = read_build(folder)
    try:
        with emulate(built, port) as emulation:
            print(f"{built.board.name} runs; next: edge-kws monitor --port {emulation.port}", flush=True)
            emulation.wait()
    except KeyboardInterrupt:
        raise typer.Exit(_EXIT_INTERRUPTED) from None
