"""Scheduled program: a row that an elementwise layer reads for the last time lies where that layer writes; no copy, no row of its own."""

from edge_kws_converters.program import Layer, Program, Ring


def hosts_of(program: Program) -> dict[int, Ring]:
    """By id, rings whose rows could lie in the slot that their one reader writes next, and that reader's ring."""
    readers: dict[int, list[tuple[Layer, Ring]]] = {}
    for layer in program.layers:
        for edge in layer.edges:
            fits = layer.call is not None and layer.call.in_place and (edge.taps, edge.stride) == (1, 1) and layer.out is not program.output
            same = edge.ring.row_bytes == layer.out.row_bytes and not edge.ring.pad_before and not edge.ring.pad_after
            readers.setdefault(id(edge.ring), []).append((layer, layer.out if fits and same else edge.ring))
    return {ring: found[0][1] for ring, found in readers.items() if len(found) == 1 and id(found[0][1]) != ring}


def rings_inside(program: Program, needs: dict[tuple[int, int], int]) -> dict[int, Ring]:
    """By id, rings whose one row can lie in a slot of another, and that one.

    Args:
        program: scheduled.
        needs: by ids of ring and host, the slots that the host has to have for the ring's rows to find one free.
    """
    hosts, inside = hosts_of(program), dict[int, Ring]()
    for layer in reversed(program.layers):
        for edge in layer.edges:
            ring, host = edge.ring, hosts.get(id(edge.ring))
            home = inside.get(id(host), host) if host else None
            if home and ring.slots == 1 and needs[id(ring), id(home)] <= home.slots:
                inside[id(ring)] = home
                break  # of two operands one can
    return inside
