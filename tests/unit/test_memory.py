"""The arena plan: what lives at the same time shares no byte but where rows work in place, and that changes no output."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws_converters.compiler import make_program
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.passes import memory
from edge_kws_converters.passes.in_place import rings_inside
from edge_kws_converters.passes.memory import Block
from edge_kws_converters.passes.schedule import Schedule, schedule
from edge_kws_converters.program import Program, Ring
from edge_kws_converters.writers.c import write_c
from tests.golden.compiled import check_stream, check_whole
from tests.golden.networks import NETWORKS, mobilenet_v3
from tests.golden.operator_models import OperatorModel, options


def _most_alive(blocks: list[Block]) -> int:
    """Bytes that live at the busiest event."""
    events = max(block.lives.bit_length() for block in blocks)
    return max(sum(block.bytes for block in blocks if block.lives >> event & 1) for event in range(events))


MODELS = {
    **{f"{name}, valid" if valid else name: partial(make, valid=valid) for name, make in NETWORKS.items() for valid in (False, True)},
    "mobilenet_v3 over bins": partial(mobilenet_v3, valid=True, axes=[2]),
}


@pytest.mark.parametrize("core", ["host", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("name", MODELS)
def test_blocks_alive_together_lie_apart(name: str, core: str) -> None:
    compiled = write_c(make_program(MODELS[name]()), core)
    blocks = compiled.blocks
    for i, a in enumerate(blocks):
        assert a.offset % 8 == 0
        assert a.offset + a.bytes <= compiled.program.arena_bytes
        for b in blocks[:i]:
            assert not a.lives & b.lives or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset, f"{a.name} and {b.name}"
    assert _most_alive(blocks) <= compiled.program.arena_bytes <= 1.1 * _most_alive(blocks)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_shipped_packs_need_no_more_than_what_lives_at_a_time(name: str, core: str) -> None:
    pack = Pack.load(name)
    compiled = write_c(make_program(pack.model, stride=pack.inference_stride_hops), core)
    assert compiled.program.arena_bytes == _most_alive(compiled.blocks)


def _functions(count: int, rows: int = 6, *, taps: int = 1, second: bool = False) -> bytes:
    """RELUs after a convolution; the last is read over `taps` rows, the first of them, too, if there is a `second` reader."""
    rng = np.random.default_rng(0)
    net = OperatorModel()
    source = net.tensor((1, rows, 1, 8), 0.1, 0, name="features")
    weights = net.tensor((8, 1, 1, 8), 0.01, 0, rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8))
    bias = net.tensor((8,), 0.001, 0, rng.integers(-900, 900, 8).astype(np.int32))
    made = [net.tensor((1, rows, 1, 8), 0.2, 0, name="made")]
    net.operator("CONV_2D", [source, weights, bias], [made[0]], options("Conv2D", padding=1, strideH=1, strideW=1))
    for index in range(count):
        made.append(net.tensor((1, rows, 1, 8), 0.2 - 0.01 * (index + 1), -100, name=f"function {index}"))
        net.operator("RELU", [made[-2]], [made[-1]])
    if second:
        made.append(net.tensor((1, rows, 1, 8), 0.3, 0, name="sum"))
        net.operator("ADD", [made[-2], made[0]], [made[-1]], options("Add"))
    left = rows - taps + 1
    result = net.tensor((1, left, 1, 8), net.tensors[made[-1]].quantization.scale, net.tensors[made[-1]].quantization.zeroPoint[0])
    net.operator("MAX_POOL_2D", [made[-1]], [result], options("Pool2D", padding=1, strideH=1, strideW=1, filterHeight=taps, filterWidth=1))
    return net.finish(source, result)


def _inside(program: Program) -> list[str]:
    found = rings_inside(program, schedule(program).needs)
    return [f"{ring.name} in {found[id(ring)].name}" for ring in program.rings if id(ring) in found]


def test_chains_share_the_slot_of_the_last() -> None:
    assert _inside(make_program(_functions(3, taps=3))) == [f"{name} in function 2" for name in ("made", "function 0", "function 1")]


def test_a_row_with_another_reader_keeps_its_place() -> None:
    assert _inside(make_program(_functions(2, second=True))) == ["function 0 in sum", "function 1 in sum"]


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows lie inside others even where apart would do as well: plans without look costly."""
    real = memory._blocks

    def blocks(program: Program, plan: Schedule, inside: dict[int, Ring]) -> list[Block]:
        made = real(program, plan, inside)
        made[0].bytes += 0 if inside else 1 << 20
        return made

    monkeypatch.setattr(memory, "_blocks", blocks)


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("taps", [1, 3])
@pytest.mark.parametrize("second", [False, True])
def test_rows_in_place_change_no_byte(taps: int, second: bool, tmp_path: Path) -> None:
    program = check_whole(_functions(3, taps=taps, second=second), tmp_path)
    assert sum(ring.inside is not None for ring in program.rings) >= 2


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("name", ["mobilenet_v2", "bc_resnet"])
def test_streams_in_place_change_no_byte(name: str, tmp_path: Path) -> None:
    model = NETWORKS[name](valid=True)
    ring = make_program(model).input
    program = check_stream(model, tmp_path, 1, feature_rows(ring.rows + 9, ring.row_bytes))
    assert sum(ring.inside is not None for ring in program.rings) >= 3


def test_scratch_of_sums_lives_as_long_as_the_stream() -> None:
    compiled = write_c(make_program(NETWORKS["bc_resnet"](valid=True), stride=1), "host")
    layer = next(layer for layer in compiled.program.layers if layer.sliding)
    (block,) = [block for block in compiled.blocks if block.owner is layer]
    assert block.lives & (block.lives + 1) == 0
    assert block.lives.bit_length() >= max(other.lives.bit_length() for other in compiled.blocks)
