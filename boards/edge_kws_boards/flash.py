"""Images onto boards: what a folder of `edge-kws build` holds, and how each board takes it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_kws.errors import BoardError
from edge_kws_boards.description import BoardDescription, find_description
from edge_kws_boards.emulation import Emulation
from edge_kws_boards.image import ELF, MANIFEST


@dataclass(frozen=True, slots=True)
class Built:
    """A folder that `edge-kws build` filled."""

    folder: Path
    board: BoardDescription


def read_build(folder: Path) -> Built:
    """Reads build.json. Raises BoardError for a folder that holds none, or one of another version."""
    path = folder / MANIFEST
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        version, board = found["schema_version"], found["board"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = getattr(error, "strerror", None) or error
        raise BoardError(f"{path}: expected what `edge-kws build` writes, found: {told}; build into this folder") from None
    if version != 1:
        raise BoardError(f"{path}: schema_version: expected 1, found {version!r}; build again with this edge_kws")
    return Built(folder, find_description(str(board)))


def emulate(built: Built, port: str | None) -> Emulation:
    """The emulator of a board, not started yet.

    Args:
        built: the image.
        port: `socket://127.0.0.1:PORT`; None takes a free port.

    Raises:
        BoardError: another form of port, or a board without an emulator.
    """
    number = re.fullmatch(r"socket://(?:127\.0\.0\.1|localhost):(\d{1,5})", port) if port is not None else None
    if port is not None and number is None:
        raise BoardError(f"--port {port}: expected socket://127.0.0.1:PORT for the emulated {built.board.name}; correct it or leave it out")
    return Emulation(built.board, built.folder / ELF, int(number[1]) if number else 0)
