"""When each layer runs: a simulation of the generated code's ticks, which gives ring sizes and what lives when.

A tick takes one input row (or none, at the end of a padded window) and lets every layer, in order, run at most once; those that catch up
run until they have no rows left.
"""

from dataclasses import dataclass, field

from edge_kws.errors import ConversionError
from edge_kws_converters.passes.in_place import hosts_of
from edge_kws_converters.program import Edge, Layer, Program, Ring, align

_MAX_EVENTS = 400_000


@dataclass(slots=True)
class Schedule:
    """Events in order, and for each ring the events (from, to) between which its rows are needed.

    `limited`: layers that would run too often if nothing stopped them. `ticks`: ticks of a whole window; `first`: of a stream, rows before
    the first output. `made`: rows made by id of layer at each output. `needs`: by ids of a ring and one that it could lie in, the slots
    that takes (see in_place.py).
    """

    events: list[tuple[Layer, str]] = field(default_factory=list[tuple[Layer, str]])
    lives: dict[int, list[tuple[int, int]]] = field(default_factory=dict[int, list[tuple[int, int]]])
    limited: set[int] = field(default_factory=set[int])
    made: list[dict[int, int]] = field(default_factory=list[dict[int, int]])
    needs: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    ticks: int = 0
    first: int = 0


class _Simulation:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.schedule = Schedule()
        self.readers: dict[int, list[tuple[Layer, Edge]]] = {id(ring): [] for ring in program.rings}
        for layer in program.layers:
            for edge in layer.edges:
                self.readers[id(edge.ring)].append((layer, edge))
        self.written = {id(ring): ring.pad_before for ring in program.rings}
        self.fired = {id(layer): 0 for layer in program.layers}
        self.since: dict[int, int] = {id(ring): 0 for ring in program.rings if ring.pad_before}
        self.hosts = hosts_of(program)
        for ring in program.rings:
            ring.slots, ring.inside = max(1, ring.pad_before), None

    def ready(self, layer: Layer) -> bool:
        fired = self.fired[id(layer)]
        return all(self.written[id(e.ring)] >= e.begin + fired * e.stride + e.span for e in layer.edges)

    def finished(self, layer: Layer) -> bool:
        return not self.program.stride and self.fired[id(layer)] >= layer.fires

    def oldest(self, ring: Ring) -> int:
        """The first row some reader still needs; past the end where none does."""
        needs = [e.begin + self.fired[id(layer)] * e.stride for layer, e in self.readers[id(ring)] if not self.finished(layer)]
        return min(needs, default=1 << 60)

    def settle(self, ring: Ring, event: int) -> None:
        """Opens or closes the ring's life after an event that touched it."""
        needed = self.oldest(ring) < self.written[id(ring)]
        start = self.since.pop(id(ring), event)
        if needed:
            self.since[id(ring)] = start
        else:
            self.schedule.lives.setdefault(id(ring), []).append((start, event))

    def write(self, layer: Layer, event: int) -> None:
        ring = layer.out
        ring.slots = max(ring.slots, self.slots_to_write(ring) + layer.together - 1)
        host = self.hosts.get(id(ring))
        while host:
            pair = id(ring), id(host)
            self.schedule.needs[pair] = max(self.schedule.needs.get(pair, 0), self.slots_to_write(host))
            host = self.hosts.get(id(host))
        self.written[id(ring)] += layer.together
        self.settle(ring, event)

    def slots_to_write(self, ring: Ring) -> int:
        """Slots a ring must have for its next row to find one free."""
        at = self.written[id(ring)]
        return at + 1 - min(self.oldest(ring), at)

    def made(self) -> dict[int, int]:
        """Rows made by each layer, by id."""
        return {id(layer): self.written[id(layer.out)] - layer.out.pad_before for layer in self.program.layers}

    def step(self, layer: Layer) -> bool:
        """Runs a layer if it can; True if it made a row of the tensor itself."""
        event = len(self.schedule.events)
        made = self.written[id(layer.out)] - layer.out.pad_before
        if not self.finished(layer):
            if not self.ready(layer):
                return False
            self.fired[id(layer)] += 1
            self.schedule.events.append((layer, "row"))
            for edge in layer.edges:
                self.settle(edge.ring, event)
            whole = not layer.accumulate or self.finished(layer)
            if whole:
                self.write(layer, event)
            return whole
        if layer.edges and self.ready(layer):
            self.schedule.limited.add(id(layer))
        if made < layer.out.rows + layer.out.pad_after:
            self.schedule.events.append((layer, "pad"))
            self.write(layer, event)
        return False


def schedule(program: Program) -> Schedule:
    """Sets the rings' slots and returns the schedule of one window, or of a stream until it repeats itself.

    Raises:
        ConversionError: the output is never computed.
    """
    simulation = _Simulation(program)
    found = simulation.schedule
    outputs, wanted = 0, program.output.rows
    history = max(ring.pad_before for ring in program.rings)
    limit = 3 * program.stride + (history + 8) * program.stride if program.stride else 0
    while True:
        found.ticks += 1
        for layer in program.layers:
            made = simulation.step(layer)
            while made and layer.catches_up and layer.out is not program.output:
                made = simulation.step(layer)
            if made and layer.out is program.output:
                outputs += 1
                found.first = found.first or found.ticks
                found.made.append(simulation.made())
        if (not program.stride and outputs == wanted) or (program.stride and found.first and found.ticks >= found.first + limit):
            break
        if len(found.events) > _MAX_EVENTS or found.ticks > _MAX_EVENTS:
            raise ConversionError(f"{program.name}: expected an output within {_MAX_EVENTS} steps, found none; use a smaller window")
    for layer in program.layers:  # rows that are read or written together lie side by side
        for ring in (layer.out, *(edge.ring for edge in layer.edges)) if layer.together > 1 else ():
            ring.slots = align(ring.slots, layer.together)
    last = len(found.events)
    for ring, start in simulation.since.items():
        found.lives.setdefault(ring, []).append((start, last))
    program.ticks, program.first = found.ticks, found.first
    return found
