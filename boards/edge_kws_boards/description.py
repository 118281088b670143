"""Board descriptions: one TOML file a board, validated once, frozen."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge_kws.errors import BoardError

_FOLDER = Path(__file__).parent / "descriptions"

Proven = Literal["emulated", "built", "run on hardware"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Region(_Section):
    """A memory: where it begins, and its bytes."""

    origin: Annotated[int, Field(ge=0, lt=2**32)]
    bytes: Annotated[int, Field(ge=1024, lt=2**32)]


class Compiler(_Section):
    """The cross compiler: prefix of its tools, and flags of the core."""

    tools: Literal["arm-none-eabi-", "riscv64-unknown-elf-"]
    flags: Annotated[list[str], Field(min_length=1)]


class Memory(_Section):
    """Memories an image may use, and how much of the RAM is stack."""

    flash: Region
    ram: Region
    stack_bytes: Annotated[int, Field(ge=512, multiple_of=16)]


class Port(_Section):
    """The folder of `firmware/ports` that knows the chip, and what it is told about this board.

    Attributes:
        baud: of the console. receive_bytes: of its ring, a power of two.
        ring_samples: of the audio ring, a power of two: how long a hop may take while audio arrives.
        constants: numbers the port's C code wants, as EKWS_<NAME>.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    baud: Annotated[int, Field(ge=9600)]
    receive_bytes: Annotated[int, Field(ge=512, le=32768)]
    ring_samples: Annotated[int, Field(ge=256, le=32768)]
    constants: dict[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], int] = {}

    @field_validator("receive_bytes", "ring_samples")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("expected a power of two")
        return value


class Slots(_Section):
    """Model slots: two of them in flash, one behind the other.

    Attributes:
        origin: of the first. bytes: of each, a multiple of erase_bytes.
        erase_bytes, write_bytes: what the flash erases and writes at a time.
        spare_arena_bytes: RAM kept for a model that is larger than the one it replaces, or comes on top.
    """

    origin: Annotated[int, Field(ge=0, lt=2**32)]
    bytes: Annotated[int, Field(ge=4096)]
    erase_bytes: Annotated[int, Field(ge=256)]
    write_bytes: Literal[4, 8]
    spare_arena_bytes: Annotated[int, Field(ge=0, multiple_of=8)]


class Flash(_Section):
    """How an image gets onto the board. So far: by starting its emulator."""

    method: Literal["emulator"]


class Emulator(_Section):
    """The QEMU program, and QEMU's name of the machine."""

    program: Literal["qemu-system-arm", "qemu-system-riscv32"]
    machine: str


class BoardDescription(_Section):
    """A board: everything the build, the firmware's port and the flash tool want to know.

    Attributes:
        name: what `--board` takes. title: for people. core: what `edge-kws convert --core` takes.
        clock_hz: of the core. proven: how far this project has seen it work.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
    title: str
    core: str
    clock_hz: Annotated[int, Field(ge=1_000_000, multiple_of=1_000_000)]
    proven: Proven
    compiler: Compiler
    memory: Memory
    port: Port
    flash: Flash
    slots: Slots | None = None
    emulator: Emulator | None = None

    @model_validator(mode="after")
    def _coherent(self) -> "BoardDescription":
        if (self.flash.method == "emulator") != (self.emulator is not None):
            raise ValueError("flash.method: expected emulator with a section [emulator], and only there")
        flash, slots = self.memory.flash, self.slots
        if slots is not None and (slots.origin < flash.origin or slots.origin + 2 * slots.bytes > flash.origin + flash.bytes):
            raise ValueError("slots: expected both inside memory.flash")
        if slots is not None and (slots.bytes % slots.erase_bytes or slots.origin % slots.erase_bytes):
            raise ValueError("slots: expected origin and bytes in multiples of erase_bytes")
        return self

    @property
    def image_flash_bytes(self) -> int:
        """Flash an image may use: what lies before the slots."""
        return self.memory.flash.bytes if self.slots is None else self.slots.origin - self.memory.flash.origin


def read_description(path: Path) -> BoardDescription:
    """Reads and validates a description.

    Raises:
        BoardError: not TOML, a key unknown or missing, a value out of range, or a name that is not the file's.
    """
    try:
        found = BoardDescription.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(f"{path}: expected a board description (TOML), found: {error}; see docs/porting.md") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "description"
        value = "nothing" if first["type"] == "missing" else repr(first["input"])[:80]
        message = first["msg"].removeprefix("Value error, ")
        raise BoardError(f"{path}: {key}: {message}, found {value}; correct or remove the key") from None
    if found.name != path.stem:
        raise BoardError(f"{path}: name: expected the file's, {path.stem}, found {found.name}; rename one of them")
    return found


@cache
def boards() -> Mapping[str, BoardDescription]:
    """Every board by name, in alphabetical order. Raises BoardError."""
    return {path.stem: read_description(path) for path in sorted(_FOLDER.glob("*.toml"))}


def find_description(name: str) -> BoardDescription:
    """The board of that name. Raises BoardError for one that is not described."""
    if (found := boards().get(name)) is None:
        raise BoardError(f"board: expected one of {', '.join(boards())}, found {name}; docs/porting.md says how to add one")
    return found
