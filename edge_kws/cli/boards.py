"""`edge-kws boards`: what firmware can be built for."""

import json
from typing import Annotated

import typer


def boards(as_json: Annotated[bool, typer.Option("--json", help="Print all of every description as one JSON array.")] = False) -> None:
    """List the boards that `edge-kws build` knows, and how well each is proven."""
    from edge_kws.cli.model_card import columns, show
    from edge_kws_boards.description import boards as described

    found = described()
    if as_json:
        print(json.dumps([board.model_dump(mode="json") for board in found.values()], indent=2))
        return
    rows = [
        (
            board.name,
            board.core,
            f"{board.clock_hz / 1e6:g} MHz",
            f"{board.memory.flash.bytes >> 10:,} K",
            f"{board.memory.ram.bytes >> 10:,} K",
            board.proven,
            board.title,
        )
        for board in found.values()
    ]
    headers = ("board", "core", "clock", "flash", "RAM", "proven", "what it is")
    show(columns(headers, rows, right=("clock", "flash", "RAM")))
