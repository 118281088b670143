"""Cross compilers and emulators: which are missing, how they are called, and where the firmware's sources are."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_kws.errors import BoardError
from edge_kws_boards.description import BoardDescription

STRICT: Final = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
PACKAGES: Final = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
    "cc": "gcc libc6-dev",
}
_HERE: Final = Path(__file__).resolve()


def firmware_folder() -> Path:
    """The C sources: beside this package in a wheel, `firmware/` in a checkout. Raises BoardError."""
    for folder in (_HERE.parent / "firmware", _HERE.parents[2] / "firmware"):
        if (folder / "app").is_dir():
            return folder
    raise BoardError("firmware: expected the C sources of edge_kws_boards, found none; reinstall edge-kws")


def lacking(name: str, tools: Sequence[str]) -> str | None:
    """Which of the tools that `name` needs are not installed, and how to get them, in one line; None when all are there."""
    needed = [tool for tool in tools if shutil.which(tool) is None]
    return f"{name}: needs {', '.join(needed)} (Debian: {' '.join(PACKAGES.get(tool, tool) for tool in needed)})" if needed else None


def missing_tools(board: BoardDescription, *, emulator: bool = False) -> str | None:
    """`lacking` of what builds for a board, with `emulator` also of what runs it."""
    run = [board.emulator.program] if emulator and board.emulator else []
    return lacking(board.name, [f"{board.compiler.tools}gcc", *run])


def call(command: Sequence[str], given: str = "") -> str:
    """What a tool prints. Raises BoardError with its first error."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        telling = [line for line in done.stderr.splitlines() if re.search("error|undefined|overflow", line, re.IGNORECASE)]
        raise BoardError(f"{command[0]}: {(telling or done.stderr.splitlines() or ['failed'])[0]}")
    return done.stdout
