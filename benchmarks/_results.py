"""What every benchmark does with its figures: a table on the screen that names its command, and JSON under benchmarks/results/."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def publish(name: str, title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], figures: Any) -> None:
    """Prints a table and writes `figures`, with the machine and the command, to benchmarks/results/NAME.json."""
    command = f"python benchmarks/{name}.py"
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    print(f"\n{title}\n")
    for row in (headers, ["-" * width for width in widths], *rows):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *rest]))
    print()
    for note in notes:
        print(note)
    print(f"{machine()['processor']}; from: {command}")
    target = ROOT / "benchmarks" / "results" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    document = {"command": command, "machine": machine(), "notes": list(notes), "figures": figures}
    part = target.with_suffix(".part")
    part.write_text(json.dumps(document, indent=2) + "\n")
    part.replace(target)


def machine() -> Mapping[str, str]:
    """Processor, system and Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": name, "system": platform.platform(), "python": platform.python_version()}


def package(name: str) -> str:
    """Name and installed version of a package."""
    return f"{name} {version(name)}"
