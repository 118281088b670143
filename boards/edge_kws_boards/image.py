"""Firmware images: packs and the app, cross-compiled for a board, measured against its memories, refused when they do not fit."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from edge_kws.errors import BoardError
from edge_kws_boards.contents import BoardModel, board_header, contents_files
from edge_kws_boards.description import BoardDescription
from edge_kws_boards.toolchain import STRICT, call, missing_tools
from edge_kws_boards.toolchain import firmware_folder as firmware

ELF, BINARY, MANIFEST = "firmware.elf", "firmware.bin", "build.json"
_LINK_LENGTH: Final = 16 << 20
"""The linker never runs out: what is too large is measured and told, not met with `region overflowed`."""
_FAST, _SMALL = "-O2", "-Os"


@dataclass(frozen=True, slots=True)
class PackSize:
    """What a pack takes: its code and constants, its share of the arena."""

    name: str
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, slots=True)
class ImageSize:
    """An image against its board; the stack is RAM too."""

    flash_bytes: int
    flash_budget_bytes: int
    ram_bytes: int
    ram_budget_bytes: int
    stack_bytes: int
    packs: tuple[PackSize, ...]

    @property
    def fits(self) -> bool:
        """Whether the board has room for it."""
        return self.flash_bytes <= self.flash_budget_bytes and self.ram_bytes <= self.ram_budget_bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: `folder` holds firmware.elf, firmware.bin and build.json."""

    board: BoardDescription
    folder: Path
    size: ImageSize

    @property
    def elf(self) -> Path:
        """The linked program."""
        return self.folder / ELF


def build_image(board: BoardDescription, models: Sequence[BoardModel], folder: Path, *, extra: Sequence[Path] = ()) -> Image:
    """Builds an image.

    Args:
        board: where it will run.
        models: from `compile_packs`, for the board's core.
        folder: gets firmware.elf, firmware.bin and build.json, all of them or none.
        extra: more C files, compiled and linked too.

    Raises:
        BoardError: tools are missing, the compiler refuses, or the image does not fit; then it names what to drop.
    """
    if (missing := missing_tools(board)) is not None:
        raise BoardError(missing)
    with tempfile.TemporaryDirectory(prefix="edge-kws-build-") as scratch:
        work = Path(scratch)
        for name, text in {**contents_files(models, board), "ekws_board.h": board_header(board)}.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        objects = _compile_all(board, work, [*_sources(board, work, models), *((path, _SMALL) for path in extra)])
        _link(board, work, objects)
        size = _measure(board, work, models)
        _check(board, size)
        (work / MANIFEST).write_text(_manifest(board, models, size), encoding="utf-8")
        return Image(board, _deliver(work, folder), size)


def _sources(board: BoardDescription, work: Path, models: Sequence[BoardModel]) -> list[tuple[Path, str]]:
    """C files and how each is optimised: what runs all the time for speed, the rest for size."""
    source, ports = firmware() / "src", firmware() / "ports"
    if not (port := ports / board.port.name / "port.c").is_file():
        raise BoardError(f"{board.name}: port.name: expected a folder of {ports}, found {board.port.name}; docs/porting.md")
    core = "riscv" if board.core.startswith("rv") else "cortex_m"
    fast = [*sorted(source.glob("*.c")), *(work / model.prefix / "model.c" for model in models), *sorted(work.glob("frontend_*.c"))]
    small = [*sorted((firmware() / "app").glob("*.c")), ports / core / "start.c", port, work / "contents.c", work / "sizes.c"]
    return [*((path, _FAST) for path in fast), *((path, _SMALL) for path in small)]


def _compile_all(board: BoardDescription, work: Path, sources: Sequence[tuple[Path, str]]) -> list[Path]:
    """Objects of all sources; those of sizes.c lie in `work` and are not among them."""
    folders = (firmware() / "include", firmware() / "app", firmware() / "ports", work)
    flags = [*board.compiler.flags, *STRICT, "-ffunction-sections", "-fdata-sections", *(f"-I{folder}" for folder in folders)]

    def compile_one(numbered: tuple[int, tuple[Path, str]]) -> Path:
        n, (path, optimisation) = numbered
        made = work / (f"{path.parent.name}.o" if path.name == "model.c" else "sizes.o" if path.name == "sizes.c" else f"part_{n}.o")
        call([f"{board.compiler.tools}gcc", *flags, optimisation, f"-I{path.parent}", "-c", str(path), "-o", str(made)])
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(compile_one, enumerate(sources)))
    return [path for path in made if path.name != "sizes.o"]


def _link(board: BoardDescription, work: Path, objects: Sequence[Path]) -> None:
    memory = board.memory
    script = (firmware() / "ports" / "link.ld.in").read_text()
    values = {"FLASH_ORIGIN": memory.flash.origin, "RAM_ORIGIN": memory.ram.origin, "LINK_LENGTH": _LINK_LENGTH}
    for key, value in {**values, "STACK_BYTES": memory.stack_bytes}.items():
        script = script.replace(f"@{key}@", hex(value))
    (work / "link.ld").write_text(script)
    flags = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", f"-T{work / 'link.ld'}"]
    flags += ["-specs=nano.specs"] if board.compiler.tools.startswith("arm") else []
    gcc = [f"{board.compiler.tools}gcc", *board.compiler.flags, *flags, *map(str, objects)]
    call([*gcc, "-o", str(work / ELF)])
    call([f"{board.compiler.tools}objcopy", "-O", "binary", str(work / ELF), str(work / BINARY)])


def sections(board: BoardDescription, elf: Path) -> Mapping[str, int]:
    """Bytes of each section of an object or program."""
    text = call([f"{board.compiler.tools}size", "-A", str(elf)])
    return {m[1]: int(m[2]) for m in re.finditer(r"^(\.[\w.]+)\s+(\d+)", text, re.MULTILINE)}


def _measure(board: BoardDescription, work: Path, models: Sequence[BoardModel]) -> ImageSize:
    found, memory = sections(board, work / ELF), board.memory
    text = call([f"{board.compiler.tools}nm", "-S", str(work / "sizes.o")])
    arenas = {m[2]: int(m[1], 16) for m in re.finditer(r"^[0-9a-f]+ ([0-9a-f]+) \w arena_(\w+)$", text, re.MULTILINE)}
    packs: list[PackSize] = []
    for model in models:
        parts = sections(board, work / f"{model.prefix}.o")
        code = sum(size for name, size in parts.items() if name.startswith((".text", ".rodata", ".srodata")))
        packs.append(PackSize(model.pack.info.name, code, arenas[model.prefix]))
    data = found.get(".data", 0)
    return ImageSize(
        flash_bytes=sum(found.get(name, 0) for name in (".vectors", ".text", ".rodata", ".unwind")) + data,
        flash_budget_bytes=board.image_flash_bytes,
        ram_bytes=sum(found.get(name, 0) for name in (".stack", ".noinit", ".bss")) + data,
        ram_budget_bytes=memory.ram.bytes,
        stack_bytes=memory.stack_bytes,
        packs=tuple(packs),
    )


def _check(board: BoardDescription, size: ImageSize) -> None:
    if size.fits:
        return
    over = [
        f"{found:,} bytes of {what}, {found - budget:,} more than the {budget:,} there are"
        for what, found, budget in (
            ("flash", size.flash_bytes, size.flash_budget_bytes),
            ("RAM", size.ram_bytes, size.ram_budget_bytes),
        )
        if found > budget
    ]
    packs = "; ".join(f"{p.name} takes {p.flash_bytes:,} of flash and {p.ram_bytes:,} of RAM" for p in size.packs)
    raise BoardError(f"{board.name}: expected an image that fits, found {' and '.join(over)} ({packs}); {_remedy(size)}")


def _remedy(size: ImageSize) -> str:
    """The fewest packs whose absence makes it fit; of several such choices the one that keeps the first packs."""
    for count in range(1, len(size.packs)):
        for dropped in combinations(reversed(size.packs), count):
            flash = size.flash_bytes - sum(pack.flash_bytes for pack in dropped)
            ram = size.ram_bytes - sum(pack.ram_bytes for pack in dropped)
            if flash <= size.flash_budget_bytes and ram <= size.ram_budget_bytes:
                return f"drop {' and '.join(pack.name for pack in reversed(dropped))}"
    return "no pack of these fits alone: take a smaller pack, or a board with more memory"


def _manifest(board: BoardDescription, models: Sequence[BoardModel], size: ImageSize) -> str:
    packs = [{"name": model.pack.info.name, "version": model.pack.info.version, "sha256": model.pack.info.model_sha256} for model in models]
    return json.dumps({"schema_version": 1, "board": board.name, "packs": packs, "size": asdict(size)}, indent=2) + "\n"


def _deliver(work: Path, folder: Path) -> Path:
    """Moves the results to `folder`, each whole; build.json comes last and means that all of them are there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (ELF, BINARY, MANIFEST):
            partial = folder / f".{name}.part"
            shutil.copyfile(work / name, partial)
            partial.replace(folder / name)
    except OSError as error:
        raise BoardError(f"{folder}: expected a folder that can be written, found: {error.strerror}; choose another --out") from None
    return folder
