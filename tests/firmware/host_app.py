"""The firmware's app on this machine, its serial line in the hands of a test."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_kws_boards.contents import board_header, compile_packs, contents_files
from edge_kws_boards.description import find_description
from edge_kws_boards.messages import Kind, Message, read_message
from edge_kws_boards.protocol import Receiver, encode, next_sequence

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BOARD = find_description("qemu-stm32f100")  # the smallest rings


def app_sources(folder: Path, packs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Generates what the app wants for these packs; returns C files and include options."""
    models = compile_packs([str(pack) for pack in packs], "host")
    for name, text in {**contents_files(models, BOARD), "ekws_board.h": board_header(BOARD)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    firmware = ROOT / "firmware"
    sources = [path for path in sorted((firmware / "app").glob("*.c")) if path.name != "main.c"]
    sources += [*sorted((firmware / "src").glob("*.c")), folder / "contents.c", *sorted(folder.glob("frontend_*.c")), HERE / "host_port.c"]
    return sources, [f"-I{path}" for path in (folder, firmware / "include", firmware / "app", HERE)]


class HostApp:
    """The app with some packs, started. `sequence` is of the next frame to it."""

    def __init__(self, folder: Path, packs: Sequence[Path], cc: str) -> None:
        sources, include = app_sources(folder, packs)
        library = folder / "app.so"
        models = list(folder.glob("*/model.c"))
        objects: list[str] = []
        for n, model in enumerate(models):  # each includes the model.h beside it
            objects.append(str(folder / f"model_{n}.o"))
            subprocess.run([cc, "-std=c99", "-O1", "-fPIC", f"-I{model.parent}", "-c", str(model), "-o", objects[-1]], check=True)
        flags = ["-std=c99", "-O1", "-g", "-shared", "-fPIC", *include]
        subprocess.run([cc, *flags, *map(str, sources), *objects, "-o", str(library)], check=True)
        self._library: Any = ctypes.CDLL(str(library))
        self.start()

    def start(self) -> list[Message]:
        """Starts anew; returns what that says."""
        self._receiver, self.sequence = Receiver(), 0
        self._value("host_write_room", ctypes.c_uint32).value = 2**32 - 1
        self._library.host_give(b"", ctypes.c_size_t(0))
        assert self._library.ekws_app_start() == 0
        return self._taken()

    def give(self, line: bytes) -> list[Message]:
        """Puts bytes on the line, lets the app come to rest, and returns what it said."""
        kept = ctypes.create_string_buffer(line, len(line) or 1)
        self._library.host_give(kept, ctypes.c_size_t(len(line)))
        while self._library.ekws_app_step() or self._library.host_left():
            pass
        return self._taken()

    def frame(self, kind: Kind | int, body: bytes = b"") -> bytes:
        """The next frame to the app."""
        frame = encode(kind, self.sequence, body)
        self.sequence = next_sequence(self.sequence)
        return frame

    def stall(self, room: int) -> None:
        """The line takes so many bytes more, then none; 2**32 - 1: any number."""
        self._value("host_write_room", ctypes.c_uint32).value = room

    @property
    def counts(self) -> Any:
        """Damage in what the app sent."""
        return self._receiver.counts

    def _value(self, name: str, kind: Any) -> Any:
        return kind.in_dll(self._library, name)

    def _taken(self) -> list[Message]:
        count = self._value("host_sent_bytes", ctypes.c_size_t)
        data = bytes((ctypes.c_uint8 * count.value).in_dll(self._library, "host_sent"))
        count.value = 0
        found = [read_message(frame.kind, frame.body) for frame in self._receiver.take(data)]
        assert None not in found
        return [message for message in found if message is not None]
