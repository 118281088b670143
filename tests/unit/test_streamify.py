"""Streaming is a change of grid: by symbols, each output of the stream is made of the same rows by the same layers as a whole window."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_kws.errors import ConversionError
from edge_kws_converters.passes.streamify import streamify
from edge_kws_converters.program import Edge, Layer, Program, Ring

_Row = tuple[Any, ...]


def _chain(steps: list[tuple[int, int, int]], skip: bool, mean: bool) -> Program | None:
    """Layers of (taps, stride, dilation) after each other, None where no row is left; `skip` adds the first one's newest rows."""
    rows = 40
    source = Ring("in", rows, 1, 1)
    layers = [Layer("in", "input", [], source)]
    for taps, stride, dilation in steps:
        rows = (rows - (taps - 1) * dilation - 1) // stride + 1
        if rows < 1:
            return None
        layers.append(Layer(f"layer {len(layers)}", "conv", [Edge(layers[-1].out, taps, dilation, stride)], Ring("out", rows, 1, 1)))
    if skip and len(layers) > 2 and steps[1][1] == 1:
        older = layers[1].out.rows - layers[2].out.rows
        edges = [Edge(layers[2].out), Edge(layers[1].out, begin=older)]
        layers[3:] = [Layer("sum", "add", edges, Ring("sum", layers[2].out.rows, 1, 1))]
    last = layers[-1].out
    edge = Edge(last, 1) if mean else Edge(last, last.rows)
    layers.append(Layer("mean", "average_pool", [edge], Ring("result", 1, 1, 1), accumulate=last.rows if mean else 0))
    return Program("chain", layers, source, layers[-1].out)


def _run(program: Program, hops: list[int]) -> list[_Row]:
    """What each layer makes of which rows, as nested tuples; the output's rows."""
    made: dict[int, list[_Row]] = {id(program.input): [(hop,) for hop in hops]}
    for layer in program.layers[1:]:
        rows: list[_Row] = []
        while True:
            taken: list[_Row] = []
            for edge in layer.edges:
                first, there = edge.begin + len(rows) * edge.stride, made[id(edge.ring)]
                wanted = [first + tap * edge.dilation for tap in range(edge.taps)]
                taken += [there[at] for at in wanted if at < len(there)]
            if len(taken) < sum(edge.taps for edge in layer.edges):
                break
            rows.append((layer.name, *taken))
        if layer.accumulate:
            rows = [(layer.name, *(row[1] for row in rows[: layer.accumulate]))]
        made[id(layer.out)] = rows
    return made[id(program.output)]


@settings(max_examples=150)
@given(
    steps=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=4),
    skip=st.booleans(),
    mean=st.booleans(),
    stride=st.integers(1, 7),
)
def test_every_output_is_that_of_a_whole_window(steps: list[tuple[int, int, int]], skip: bool, mean: bool, stride: int) -> None:
    whole, streaming = _chain(steps, skip, mean), _chain(steps, skip, mean)
    if whole is None or streaming is None:
        return
    count = 40 + 5 * stride
    outputs = _run(streamify(streaming, stride), list(range(count)))
    windows = [_run(whole, list(range(start, start + 40)))[0] for start in range(0, count - 39, stride)]
    # The stream may look at hops that a stride leaves over at the end of a window only later; it never misses one.
    assert outputs[: len(windows)] == windows


def _broken(change: str) -> Program:
    program = _chain([(3, 1, 1), (2, 1, 1)], skip=True, mean=True)
    assert program is not None
    layer = program.layers[2]
    if change == "padded":
        # The first tensor has padding; only the second of its readers sees it.
        ring = layer.edges[0].ring
        ring.pad_before = 1
        program.layers[3].edges[1].begin += 1
    elif change == "spread":
        program.layers[3].edges[1].stride = 0
    elif change == "transposed":
        program.layers[0].shape = True
    elif change == "uneven":
        program.layers[3].edges[1] = Edge(Ring("aside", 100, 1, 1), stride=2)
    elif change == "rows":
        program.output.rows = 2
    elif change == "stateful":
        program.stride = 3
    return program


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("padded", r"layer 2: cannot be streamed exactly, because it pads time"),
        ("spread", r"sum: cannot be streamed exactly, because it spreads one value over all of the window's time"),
        ("transposed", r"in: cannot be streamed exactly, because time is not on axis 1"),
        ("uneven", r"sum: cannot be streamed exactly, because its inputs differ in time stride"),
        ("rows", r"chain: streaming: expected one output row a window, found 2"),
        ("stateful", r"chain: expected a whole-window model"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(change: str, expected: str) -> None:
    with pytest.raises(ConversionError, match=expected):
        streamify(_broken(change), 2)


def test_stride_of_no_hop() -> None:
    with pytest.raises(ConversionError, match="expected at least 1 hop between outputs, found 0"):
        streamify(_broken(""), 0)
