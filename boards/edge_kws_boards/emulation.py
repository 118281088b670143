"""A built image at work in QEMU, its serial line on a socket: what `--port socket://HOST:PORT` then reaches like a real board's."""

import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_kws.errors import BoardError
from edge_kws_boards.description import BoardDescription
from edge_kws_boards.toolchain import lacking

_HOST = "127.0.0.1"


class Emulation:
    """QEMU with an image, from entering to leaving the context.

    Args:
        board: a board with an emulator.
        elf: the image.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Attributes:
        port: the serial line, `socket://127.0.0.1:PORT`, once entered.

    Raises:
        BoardError: no emulator, QEMU is missing or does not start.
    """

    def __init__(self, board: BoardDescription, elf: Path, port: int = 0) -> None:
        if board.emulator is None:
            raise BoardError(f"{board.name}: expected a board with an emulator, found none; `edge-kws boards` lists them")
        if not elf.is_file():
            raise BoardError(f"{elf}: expected an image, found no such file; run `edge-kws build`")
        if (missing := lacking(board.name, [board.emulator.program])) is not None:
            raise BoardError(missing)
        self._board = board
        # fmt: off
        self._command = [
            board.emulator.program, "-M", board.emulator.machine, "-nodefaults", "-display", "none", "-monitor", "stdio",
            "-chardev", f"socket,id=line,host={_HOST},port={port},server=on,wait=off,nodelay=on", "-serial", "chardev:line",
            *(("-bios", "none") if board.emulator.program == "qemu-system-riscv32" else ()), "-kernel", str(elf),
        ]
        # fmt: on
        self._process: subprocess.Popen[str] | None = None
        self.port = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self.port = f"socket://{_HOST}:{self._listening_port()}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def wait(self) -> None:
        """Until QEMU ends. Raises BoardError when it ends by itself."""
        assert self._process is not None
        status = self._process.wait()
        raise BoardError(f"{self._board.name}: expected QEMU to go on, found that it ended with status {status}")

    def _listening_port(self) -> int:
        """Asks QEMU's monitor, which knows once the socket listens."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said: list[str] = []
        try:
            self._process.stdin.write("info chardev\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                said.append(line.strip())
                if (found := re.search(rf"line: filename=\S*tcp:{_HOST}:(\d+)", line)) is not None:
                    return int(found[1])
        except BrokenPipeError:
            said += self._process.stdout.read().splitlines()
        told = next((line for line in reversed(said) if "rror" in line or "ailed" in line), said[-1] if said else "nothing")
        raise BoardError(f"{self._board.name}: expected {self._command[0]} to start, found: {told}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
