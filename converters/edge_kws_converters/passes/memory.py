"""Addresses: rings and scratch space share the arena wherever their lives do not overlap; elementwise layers may work in place."""

from collections.abc import Callable
from dataclasses import dataclass

from edge_kws_converters.passes.in_place import rings_inside
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


_ORDERS: tuple[Callable[[Block], tuple[int, int]], ...] = (lambda b: (-b.bytes, 0), lambda b: (-b.lives.bit_count(), -b.bytes))
"""The largest first, the longest-lived first: between them they need no more than what lives at a time, in every model measured."""


@dataclass(frozen=True, slots=True)
class _Plan:
    blocks: list[Block]
    inside: dict[int, Ring]
    bytes: int


def plan_memory(program: Program, schedule: Schedule) -> list[Block]:
    """Gives every ring and scratch space its offset and sets `program.arena_bytes`; rows lie inside others where that saves memory."""
    inside = rings_inside(program, schedule.needs)
    plans = [_place(_blocks(program, schedule, choice), choice, order) for choice in ({}, inside) for order in _ORDERS]
    best = min(plans, key=lambda plan: plan.bytes)
    for block in best.blocks:
        if isinstance(block.owner, Ring):
            block.owner.offset = block.offset
        else:
            block.owner.scratch_offset = block.offset
    for ring in program.rings:
        ring.inside = best.inside.get(id(ring))
    program.arena_bytes = best.bytes
    return best.blocks


def _blocks(program: Program, schedule: Schedule, inside: dict[int, Ring]) -> list[Block]:
    lives = {id(ring): 0 for ring in program.rings}
    for ring in program.rings:
        lives[id(inside.get(id(ring), ring))] |= _mask(schedule.lives.get(id(ring), []))
    own = [ring for ring in program.rings if ring is not program.output and id(ring) not in inside]
    blocks = [Block(ring.name, align(ring.bytes, _ALIGNMENT), lives[id(ring)], ring) for ring in own]
    everything = (1 << (len(schedule.events) + 1)) - 1
    for layer in program.layers:
        if layer.scratch:
            events = [(i, i) for i, (ran, _) in enumerate(schedule.events) if ran is layer]
            used = everything if layer.accumulate or layer.sliding else _mask(events)
            blocks.append(Block(f"{layer.name} scratch", align(layer.scratch, _ALIGNMENT), used, layer))
    return blocks


def _place(blocks: list[Block], inside: dict[int, Ring], order: Callable[[Block], tuple[int, int]]) -> _Plan:
    """One after the other, each into the lowest gap."""
    placed: list[Block] = []
    for block in sorted(blocks, key=order):
        block.offset = _lowest_gap(block, placed)
        placed.append(block)
    return _Plan(blocks, inside, max((b.offset + b.bytes for b in blocks), default=0))


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
