"""Addresses: rings and scratch space share the arena wherever their lives do not overlap."""

from dataclasses import dataclass

from edge_kws_converters.passes.schedule import Schedule
from edge_kws_converters.program import Layer, Program, Ring, align

_ALIGNMENT = 8


@dataclass(slots=True, eq=False)
class Block:
    """A piece of arena: `lives` has a bit for each event during which it is in use."""

    name: str
    bytes: int
    lives: int
    owner: Ring | Layer
    offset: int = 0


def plan_memory(program: Program, schedule: Schedule) -> list[Block]:
    """Gives every ring and scratch space its offset, largest first into the lowest gap; sets `program.arena_bytes`."""
    blocks: list[Block] = []
    for ring in program.rings:
        if ring is not program.output:
            blocks.append(Block(ring.name, align(ring.bytes, _ALIGNMENT), _mask(schedule.lives.get(id(ring), [])), ring))
    everything = (1 << (len(schedule.events) + 1)) - 1
    for layer in program.layers:
        if layer.scratch:
            events = [(i, i) for i, (ran, _) in enumerate(schedule.events) if ran is layer]
            lives = everything if layer.accumulate else _mask(events)
            blocks.append(Block(f"{layer.name} scratch", align(layer.scratch, _ALIGNMENT), lives, layer))
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda b: -b.bytes):
        block.offset = _lowest_gap(block, placed)
        placed.append(block)
        if isinstance(block.owner, Ring):
            block.owner.offset = block.offset
        else:
            block.owner.scratch_offset = block.offset
    program.arena_bytes = max((b.offset + b.bytes for b in blocks), default=0)
    return blocks


def _mask(spans: list[tuple[int, int]]) -> int:
    mask = 0
    for first, last in spans:
        mask |= ((1 << (last - first + 1)) - 1) << first
    return mask


def _lowest_gap(block: Block, placed: list[Block]) -> int:
    offset = 0
    for other in sorted((p for p in placed if p.lives & block.lives), key=lambda p: p.offset):
        if other.offset - offset >= block.bytes:
            break
        offset = max(offset, other.offset + other.bytes)
    return offset
