"""`edge-kws build`: packs into a firmware image."""

from pathlib import Path
from typing import Annotated

import typer


def build(
    packs: Annotated[list[str], typer.Argument(help="Shipped packs or pack files; several share one front end.", metavar="PACK...")],
    board: Annotated[str, typer.Option("--board", help="What to build for; `edge-kws boards` lists them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for firmware.elf, firmware.bin and build.json.", metavar="DIR")],
) -> None:
    """Build a firmware image that listens for the packs' words; refuses what does not fit the board and says what to drop."""
    from edge_kws.cli.model_card import columns, show
    from edge_kws_boards.contents import compile_packs
    from edge_kws_boards.description import find_description
    from edge_kws_boards.image import build_image

    described = find_description(board)
    size = build_image(described, compile_packs(packs, described.core), out).size
    rest_flash = size.flash_bytes - sum(pack.flash_bytes for pack in size.packs)
    rest_ram = size.ram_bytes - size.stack_bytes - sum(pack.ram_bytes for pack in size.packs)
    rows = [(pack.name, f"{pack.flash_bytes:,}", f"{pack.ram_bytes:,}") for pack in size.packs]
    rows += [
        ("front end, app, start-up", f"{rest_flash:,}", f"{rest_ram:,}"),
        ("stack", "", f"{size.stack_bytes:,}"),
        ("all", f"{size.flash_bytes:,}", f"{size.ram_bytes:,}"),
        (f"of what {board} has", f"{size.flash_bytes / size.flash_budget_bytes:.1%}", f"{size.ram_bytes / size.ram_budget_bytes:.1%}"),
    ]
    show(columns(("part", "flash, bytes", "RAM, bytes"), rows, right=("flash, bytes", "RAM, bytes")))
    print(f"\n{out}: firmware for {described.title}. Next: edge-kws flash {out}")
