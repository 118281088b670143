"""Firmware on emulated boards: cross-compiles C, runs it under QEMU, counts its instructions exactly and measures its memory.

Everything a board reads and writes goes through two files; `firmware/ports/qemu/board.h` is the other side of this module.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_kws.errors import BoardError
from edge_kws_boards.counts import by_function, read_regions

_PORT: Final = Path("firmware") / "ports" / "qemu"
_STRICT: Final = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
_ARM: Final = "arm-none-eabi-"
_RISCV: Final = "riscv64-unknown-elf-"
_FAULT_STATUS: Final = 99
_PACKAGES: Final = {
    f"{_ARM}gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    f"{_RISCV}gcc": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
    "cc": "gcc libc6-dev",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedBoard:
    """A machine QEMU knows and the compiler flags of its core.

    Attributes:
        name: `m0` .. `rv32`.
        core: what `edge-kws convert --core` takes.
        machine: QEMU's name of it.
        tools: prefix of the cross compiler.
        clang: a clang that compiles what is measured instead; the harness stays with the cross compiler. None: no other.
        flags: compiler flags of the core.
        flash, ram: (origin, bytes) of the memories used.
    """

    name: str
    core: str
    machine: str
    tools: str = _ARM
    clang: str | None = None
    flags: tuple[str, ...]
    flash: tuple[int, int] = (0, 4 << 20)
    ram: tuple[int, int] = (0x20000000, 4 << 20)

    @property
    def emulator(self) -> str:
        """The QEMU program."""
        return "qemu-system-riscv32" if self.tools == _RISCV else "qemu-system-arm"

    def missing(self) -> str | None:
        """What is not installed, as Debian packages to install; None when all is there."""
        tools = [f"{self.tools}gcc", self.emulator, "cc", *filter(None, [self.clang])]
        needed = [tool for tool in tools if shutil.which(tool) is None]
        packages = " ".join(_PACKAGES.get(tool, tool) for tool in needed)
        return f"{self.name}: needs {', '.join(needed)} (Debian: {packages})" if needed else None

    def compile_command(self) -> list[str]:
        """What compiles the code that is measured."""
        if self.clang is None:
            return [f"{self.tools}gcc", *self.flags]
        # The core alone says what clang needs; newlib's headers lie beside the cross compiler.
        header = Path(call([f"{self.tools}gcc", "-print-file-name=include"]).strip())
        newlib = header.parents[3] / self.tools.rstrip("-") / "include"
        flags = [flag for flag in self.flags if not flag.startswith("-mfpu")]
        return [self.clang, f"--target={self.tools.rstrip('-')}", *flags, "-isystem", str(newlib)]

    def tool(self, name: str, *arguments: str, given: str = "") -> str:
        """What a tool of the cross compiler (`nm`, `objdump`, ...) prints when `given` this on its standard input. Raises BoardError."""
        return call([f"{self.tools}{name}", *arguments], given)


def _arm(core: str, *flags: str) -> tuple[str, ...]:
    return (f"-mcpu={core}", "-mthumb", *(flags or ("-mfloat-abi=soft",)))


_BOARDS: Final = (
    EmulatedBoard(
        name="m0", core="cortex-m0", machine="microbit", flags=_arm("cortex-m0"), flash=(0, 256 << 10), ram=(0x20000000, 16 << 10)
    ),
    # Code for ARMv6-M on the M3 machine: the same instructions, more memory than the microbit has.
    EmulatedBoard(name="m0plus", core="cortex-m0plus", machine="mps2-an385", flags=_arm("cortex-m0plus")),
    EmulatedBoard(name="m3", core="cortex-m3", machine="mps2-an385", flags=_arm("cortex-m3")),
    EmulatedBoard(name="m4", core="cortex-m4", machine="mps2-an386", flags=_arm("cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")),
    EmulatedBoard(name="m7", core="cortex-m7", machine="mps2-an500", flags=_arm("cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")),
    EmulatedBoard(
        name="m33",
        core="cortex-m33",
        machine="mps2-an505",
        flags=_arm("cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        flash=(0x10000000, 4 << 20),
        ram=(0x38000000, 4 << 20),
    ),
    EmulatedBoard(
        name="m55",
        core="cortex-m55",
        machine="mps3-an547",
        flags=_arm("cortex-m55", "-mfpu=auto", "-mfloat-abi=hard"),
        flash=(0, 512 << 10),
        ram=(0x20000000, 512 << 10),
    ),
    EmulatedBoard(
        name="rv32",
        core="rv32",
        machine="virt",
        tools=_RISCV,
        flags=("-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany", "-msmall-data-limit=0", "-specs=picolibc.specs"),
        flash=(0x80000000, 4 << 20),
        ram=(0x80400000, 4 << 20),
    ),
)
BOARDS: Final[Mapping[str, EmulatedBoard]] = {board.name: board for board in _BOARDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of what was built, the harness left out: code, constants (flash), ram (data and zero-initialised; no stack)."""

    code: int
    constants: int
    ram: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run left behind.

    Attributes:
        output: bytes the firmware wrote.
        reports: its lines "name value"; a name reported twice keeps the last value.
        instructions: executed in each region between the marks, in order.
        profiles: for each region, instructions by function.
        owned: for each region, instructions by owner; see `Firmware.run`.
    """

    output: bytes
    reports: Mapping[str, int]
    instructions: tuple[int, ...]
    profiles: tuple[Counter[str], ...] = field(repr=False)
    owned: tuple[Counter[int], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Firmware:
    """A linked program for an emulated board."""

    board: EmulatedBoard
    elf: Path
    root: Path

    def sizes(self) -> Sizes:
        """Sections of the program under test; those of the harness are named apart by the linker script."""
        text = self.board.tool("size", "-A", str(self.elf))
        section = {m[1]: int(m[2]) for m in re.finditer(r"^(\.\w+)\s+(\d+)", text, re.MULTILINE)}
        data = section.get(".data", 0)
        return Sizes(
            code=section.get(".code", 0),
            constants=section.get(".constants", 0) + data,
            ram=data + section.get(".bss", 0),
        )

    def run(self, data: bytes = b"", *, owners: Mapping[int, int] | None = None, timeout_s: float = 300) -> Run:
        """Runs the firmware to its end.

        Args:
            data: what `board_read` will read.
            owners: numbers 0..1023 by address: what runs there, and until the next of these addresses, counts for that owner.
            timeout_s: how long QEMU may take.

        Raises:
            BoardError: a fault, an exit status other than 0, or no end in time.
        """
        folder = self.elf.parent
        (folder / "input").write_bytes(data)
        counts = folder / "counts"
        listed = ""
        if owners is not None:
            (folder / "owners").write_text("".join(f"{at:x} {owner:x}\n" for at, owner in owners.items()))
            listed = f",owners={folder / 'owners'}"
        # fmt: off
        command = [
            self.board.emulator, "-M", self.board.machine, "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "null",
            "-semihosting-config", "enable=on,target=native", "-plugin", f"file={_counter(self.root)},out={counts}{listed}",
            *(("-bios", "none") if self.board.tools == _RISCV else ()), "-kernel", str(self.elf),
        ]
        # fmt: on
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise BoardError(f"{self.board.name}: {self.elf.name} did not end within {timeout_s:g} s under QEMU") from error
        console = done.stdout + done.stderr
        if done.returncode != 0:
            what = "fault" if done.returncode == _FAULT_STATUS else f"exit status {done.returncode}"
            raise BoardError(f"{self.board.name}: {self.elf.name}: {what}: {console.strip()[-300:] or 'nothing on the console'}")
        reports = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) (\d+)$", console, re.MULTILINE)}
        symbols = _symbols(self.board, self.elf)
        regions = read_regions(counts.read_text())
        return Run(
            output=(folder / "output").read_bytes(),
            reports=reports,
            instructions=tuple(region.total for region in regions),
            profiles=tuple(by_function(region.at, symbols) for region in regions),
            owned=tuple(region.owner for region in regions),
        )


def build(
    board: EmulatedBoard,
    folder: Path,
    *,
    root: Path,
    harness: Sequence[Path],
    sources: Sequence[Path],
    include: Sequence[Path] = (),
    options: Sequence[str] = ("-O2",),
    stack_bytes: int = 4096,
) -> Firmware:
    """Compiles and links a program.

    Args:
        board: where it will run.
        folder: where objects and the program go; made if need be.
        root: the checkout.
        harness: C files that call what is measured; their size does not count.
        sources: the C files that are measured.
        include: header folders besides the board's own.
        options: optimisation and definitions.
        stack_bytes: length of the stack.

    Raises:
        BoardError: tools are missing, or the compiler refuses; the message holds its first error.
    """
    if (missing := board.missing()) is not None:
        raise BoardError(missing)
    folder.mkdir(parents=True, exist_ok=True)
    port = root / _PORT
    flags = [*options, *_STRICT, "-ffunction-sections", "-fdata-sections", f"-I{port}", *(f"-I{i}" for i in include)]
    ours, measured = [f"{board.tools}gcc", *board.flags], board.compile_command()
    jobs = [(ours, path, f"harness_{n}_{path.stem}.o") for n, path in enumerate([port / "board.c", *harness])]
    jobs += [(measured, path, f"measured_{n}_{path.stem}.o") for n, path in enumerate(sources)]
    for command, source, name in jobs:
        call([*command, *flags, "-c", str(source), "-o", str(folder / name)])
    script = (port / "link.ld.in").read_text()
    memory = {"FLASH_ORIGIN": board.flash[0], "FLASH_LENGTH": board.flash[1], "RAM_ORIGIN": board.ram[0], "RAM_LENGTH": board.ram[1]}
    for key, value in {**memory, "STACK_LENGTH": stack_bytes}.items():
        script = script.replace(f"@{key}@", hex(value))
    (folder / "link.ld").write_text(script)
    elf = folder / f"{board.name}.elf"
    link = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", f"-T{folder / 'link.ld'}"]
    link += ["-specs=nano.specs"] if board.tools == _ARM else []
    try:
        call([f"{board.tools}gcc", *board.flags, *link, *(str(folder / name) for *_, name in jobs), "-o", str(elf)])
    except BoardError as error:
        if (over := re.search(r"region `(\w+)' overflowed by (\d+) bytes", str(error))) is None:
            raise
        length = (board.ram if over[1] == "RAM" else board.flash)[1]
        what = f"expected a program for {length:,} bytes of {over[1]}, found {int(over[2]):,} bytes more"
        raise BoardError(f"{board.name}: {what}; take a board with more memory") from None
    return Firmware(board, elf, root)


def call(command: Sequence[str], given: str = "") -> str:
    """What a tool prints when `given` this on its standard input. Raises BoardError with the first line that tells what is wrong."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        telling = [line for line in done.stderr.splitlines() if re.search("error|undefined|overflow", line, re.IGNORECASE)]
        raise BoardError(f"{command[0]}: {(telling or done.stderr.splitlines() or ['failed'])[0]}")
    return done.stdout


def _counter(root: Path) -> Path:
    """The instruction counting plugin, built on first use and again when its source changes."""
    source = root / _PORT / "count_instructions.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = root / "build" / f"count_instructions_{digest}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}.part")
        call(["cc", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", str(source), "-o", str(partial)])
        partial.replace(library)
    return library


def _symbols(board: EmulatedBoard, elf: Path) -> list[tuple[int, str]]:
    found = [re.match(r"([0-9a-f]+) [tTwW] ([^$].*)", line) for line in board.tool("nm", "-n", str(elf)).splitlines()]
    return [(int(m[1], 16) & ~1, m[2]) for m in found if m]
