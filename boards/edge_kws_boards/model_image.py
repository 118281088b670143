"""Model images for the slots of a running board: position-independent, checked to be so, with header and hash."""

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Final

from edge_kws.errors import BoardError
from edge_kws_boards.contents import BoardModel, board_header, model_entry, model_files
from edge_kws_boards.description import BoardDescription
from edge_kws_boards.image import sections
from edge_kws_boards.toolchain import STRICT, call, firmware_folder, missing_tools

_SIZE_AT: Final = 12
_SHA256_AT: Final = 16
_HASHED_FROM: Final = _SHA256_AT + 32
_ABSOLUTE: Final = re.compile(
    r"^([0-9a-f]+)\s+[0-9a-f]+\s+R_(?:ARM_(?:ABS|MOV[WT]_ABS|TARGET1)|RISCV_(?:32|HI20|LO12))\w*\s+(.*)$", re.MULTILINE
)


def build_model_image(board: BoardDescription, model: BoardModel) -> bytes:
    """Builds the image of a model for the slots of a board.

    Args:
        board: a board with slots.
        model: from `compile_packs`, for the board's core.

    Raises:
        BoardError: no slots, tools are missing, the compiler refuses, or the image does not fit a slot.
    """
    if board.slots is None:
        raise BoardError(f"{board.name}: expected a board with model slots, found none; build its firmware with this pack and flash it")
    if (missing := missing_tools(board)) is not None:
        raise BoardError(missing)
    with tempfile.TemporaryDirectory(prefix="edge-kws-model-") as scratch:
        work = Path(scratch)
        for name, text in {**model_files(model), "ekws_board.h": board_header(board), "image.c": _entry(model)}.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        elf = _link(board, model, work)
        _check_independent(board, elf)
        binary = work / "model.bin"
        call([f"{board.compiler.tools}objcopy", "-O", "binary", "-j", ".image", str(elf), str(binary)])
        image = bytearray(binary.read_bytes())
    room = board.slots.bytes - board.slots.write_bytes
    if len(image) > room:
        raise BoardError(
            f"{board.name}: {model.pack.info.name}: expected a model of at most {room:,} bytes, found {len(image):,}; take a smaller one"
        )
    image[_SIZE_AT : _SIZE_AT + 4] = len(image).to_bytes(4, "little")
    image[_SHA256_AT:_HASHED_FROM] = hashlib.sha256(image[_HASHED_FROM:]).digest()
    return bytes(image)


def _entry(model: BoardModel) -> str:
    functions, entry = model_entry(model)
    return f"""/* Header of a model image. Generated. */
#include "ekws_board.h"
#include "slots.h"
#include "{model.prefix}/model.h"

extern const ekws_image_t ekws_image;
{functions}
__attribute__((section(".image"), used)) const ekws_image_t ekws_image = {{
    .magic = EKWS_IMAGE_MAGIC,
    .abi = EKWS_IMAGE_ABI,
    .core = EKWS_CORE,
    .model = {entry},
}};
"""


def _link(board: BoardDescription, model: BoardModel, work: Path) -> Path:
    gcc, firmware = f"{board.compiler.tools}gcc", firmware_folder()
    include = (firmware / "include", firmware / "app", work, work / model.prefix)
    flags = [*board.compiler.flags, *STRICT, "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-O2"]
    objects: list[str] = []
    for source in (work / "image.c", work / model.prefix / "model.c"):
        objects.append(str(source.with_suffix(".o")))
        call([gcc, *flags, *(f"-I{folder}" for folder in include), "-c", str(source), "-o", objects[-1]])
    script = firmware / "ports" / "model.ld"
    link = ["-nostartfiles", "-static", "-Wl,--gc-sections", "-Wl,--emit-relocs", "-Wl,--no-warn-rwx-segments", f"-T{script}"]
    link += ["-specs=nano.specs"] if board.compiler.tools.startswith("arm") else []
    elf = work / "model.elf"
    call([gcc, *board.compiler.flags, *link, *objects, "-o", str(elf)])
    return elf


def _check_independent(board: BoardDescription, elf: Path) -> None:
    """No variables, and no absolute address but the header's, which the board moves."""
    if writable := sections(board, elf).get(".writable", 0):
        raise BoardError(f"{board.name}: model image: expected code and constants only, found {writable} bytes of variables; report this")
    header = call([f"{board.compiler.tools}nm", "-S", str(elf)])
    found = re.search(r"^0+ ([0-9a-f]+) \w ekws_image$", header, re.MULTILINE)
    assert found is not None
    relocations = call([f"{board.compiler.tools}readelf", "-r", "-W", str(elf)])
    for place in _ABSOLUTE.finditer(relocations):
        if int(place[1], 16) >= int(found[1], 16):
            raise BoardError(
                f"{board.name}: model image: expected no absolute addresses, found one at {place[1]} ({place[2]}); report this"
            )
