"""Pointwise layers of width 1 that make several rows at a time: the same bytes, of whole windows and streams."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_kws_converters import kernels
from edge_kws_converters.compiler import make_program
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.program import Program
from tests.golden.compiled import check_stream, check_whole
from tests.golden.networks import NETWORKS, Network


def _series(rows: int, step: int, channels: int, seed: int) -> bytes:
    """Bins become channels at once; then depthwise and pointwise layers over time with a residual."""
    net = Network(valid=True, seed=seed)
    source = net.tensor((1, rows, 6, 1), 0.05, -5)
    x = net.conv(source, 8, (3, 6), (step, 6), activation="relu")
    x = net.conv(net.conv(x, kernel=(2, 1)), channels, activation="relu")
    deep = net.conv(net.conv(x, kernel=(3, 1), activation="relu"), channels)
    return net.finish(source, net.classify(net.add(deep, net.skip(x, deep)), 3))


def _check(model: bytes, stride: int, together: int) -> Program:
    """With the portable kernel in the place of one that gains from several pixels."""
    rows = tuple(replace(kernel, together=together) for kernel in kernels.KERNELS)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(kernels, "KERNELS", rows)
        if not stride:
            return check_whole(model, Path(folder))
        ring = make_program(model).input
        return check_stream(model, Path(folder), stride, feature_rows(ring.rows + 5 * stride, ring.row_bytes))


@settings(max_examples=8)
@given(
    rows=st.integers(15, 24),
    step=st.integers(1, 2),
    channels=st.sampled_from([4, 12]),
    stride=st.integers(0, 6),
    together=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_series(rows: int, step: int, channels: int, stride: int, together: int, seed: int) -> None:
    program = _check(_series(rows, step, channels, seed), stride, together)
    assert all(layer.together <= together for layer in program.layers)


@pytest.mark.parametrize(("rows", "stride", "made"), [(19, 0, [2, 2]), (20, 0, [3, 3]), (18, 2, [2, 2]), (19, 3, [3, 3]), (18, 5, [1, 1])])
def test_rows_made_at_a_time(rows: int, stride: int, made: list[int]) -> None:
    """As many as divide what a step brings; a whole window's first rows may be filled up."""
    program = _check(_series(rows, 1, 4, 0), stride, 3)
    pointwise = [layer for layer in program.layers if layer.kind == "conv" and layer.out.channels == 4]
    assert [layer.together for layer in pointwise] == made
    assert all((layer.out.rows + layer.junk) % layer.together == 0 for layer in pointwise if not stride)


@pytest.mark.parametrize("stride", [0, 4])
def test_broadcast_residuals(stride: int) -> None:
    program = _check(NETWORKS["bc_resnet"](valid=True), stride, 2)
    assert any(layer.together == 2 for layer in program.layers)


def test_padded_rows_are_made_one_by_one() -> None:
    program = _check(NETWORKS["bc_resnet"](valid=False), 0, 3)
    padded = [layer for layer in program.layers if layer.out.pad_before]
    assert padded
    assert all(layer.together == 1 for layer in padded)
