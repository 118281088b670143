"""What `firmware/ports/qemu/count_instructions.c` writes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Region:
    """Instructions of a region: all, by address, by owner."""

    total: int
    at: Counter[int] = field(default_factory=Counter[int])
    owner: Counter[int] = field(default_factory=Counter[int])


def read_regions(text: str) -> list[Region]:
    """What the plugin wrote, in order."""
    regions: list[Region] = []
    for line in text.splitlines():
        kind, first, second = line.split()
        if kind == "region":
            regions.append(Region(int(second)))
        else:
            (regions[-1].at if kind == "at" else regions[-1].owner)[int(first, 16)] = int(second)
    return regions


def by_function(at: Mapping[int, int], symbols: Sequence[tuple[int, str]]) -> Counter[str]:
    """Instructions by the last symbol, of (address, name) in order, at or before their address."""
    counts: Counter[str] = Counter()
    n = -1
    for address in sorted(at):
        while n + 1 < len(symbols) and symbols[n + 1][0] <= address:
            n += 1
        counts[symbols[n][1] if n >= 0 else "?"] += at[address]
    return counts
