"""Pieces of C text: names, numbers, arrays, and the kernel headers pasted into generated files."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError

_HERE = Path(__file__).resolve()
_LINE = 132
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+\.h)"$')


def identifier(name: str) -> str:
    """A name as a C identifier in lower case."""
    cleaned = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "model"
    return cleaned if not cleaned[0].isdigit() else f"m_{cleaned}"


def comment(text: str) -> str:
    """Text that cannot end a comment early; model files choose their own names."""
    cleaned = re.sub(r"[^ -~]", "?", text).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return cleaned if len(cleaned) <= 100 else f"{cleaned[:97]}..."


def wrapped(items: Iterable[str], indent: str = "  ") -> str:
    """Items with commas, in lines."""
    lines: list[str] = []
    line = indent
    for item in items:
        if len(line) + len(item) + 2 > _LINE:
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*lines, line.rstrip()])


def array(kind: str, name: str, values: NDArray[Any] | bytes, alignment: int = 0) -> str:
    """A static const array. int32's minimum needs care: -2147483648 is no int literal."""
    numbers = np.frombuffer(values, np.int8) if isinstance(values, bytes) else values.reshape(-1)
    items = ("INT32_MIN" if int(x) == -(2**31) else str(int(x)) for x in numbers)
    aligned = f"EKWS_ALIGNED({alignment}) " if alignment else ""
    return f"static const {kind} {aligned}{name}[{len(numbers)}] = {{\n{wrapped(items)}\n}};\n"


def fields(shape: dict[str, int]) -> str:
    """A compound literal's members."""
    return wrapped((f".{name} = {value if abs(value) < 2**31 else f'INT64_C({value})'}" for name, value in shape.items()), "      ").strip()


def kernel_folder() -> Path:
    """Where the kernels are: with the boards' firmware in a wheel, in `firmware/` in a checkout."""
    for root in (_HERE.parents[2] / "edge_kws_boards", _HERE.parents[3]):
        folder = root / "firmware" / "src" / "kernels"
        if folder.is_dir():
            return folder
    raise ConversionError("kernels: expected the C kernels of edge_kws_converters, found none; reinstall edge-kws")


def paste_headers(names: Sequence[str]) -> str:
    """The text of kernel headers, each once, those they include before them."""
    folder = kernel_folder()
    done: set[str] = set()
    text: list[str] = []

    def paste(name: str) -> None:
        if name in done:
            return
        done.add(name)
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        body: list[str] = []
        for line in lines:
            if match := _INCLUDE.match(line):
                paste(match.group(1))
            else:
                body.append(line)
        text.append(f"/* ======== {name} ======== */\n" + "\n".join(body).strip() + "\n")

    for name in names:
        paste(name)
    return "\n".join(text)
