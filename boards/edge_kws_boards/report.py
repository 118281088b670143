"""What a model costs on a board: measured where the tools are, else estimated and marked so."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import BoardError
from edge_kws.frontend import Frontend
from edge_kws_boards.emulator import BOARDS, EmulatedBoard
from edge_kws_boards.estimate import FRONTEND_BYTES, TYPICAL
from edge_kws_boards.measure import Measured, compiler, measure_frontend, measure_model, speech
from edge_kws_converters.costs import ModelCost, model_cost
from edge_kws_converters.export import plan_c
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.graph import Graph
from edge_kws_converters.reference import Reference
from edge_kws_converters.source import ModelSource
from edge_kws_converters.writers.c import CModel

_EMULATED: Final = "qemu-"
_OUTPUTS: Final = 16
"""Outputs of a stream that are measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCost:
    """The model or the front end.

    Attributes:
        code_bytes, constant_bytes: flash. ram_bytes: state and variables. stack_bytes: the deepest seen.
        output_instructions: of one output.
        hop_instructions: of a hop (a row), the mean; None for whole windows.
        most_hop_instructions: of the costliest hop; None for whole windows, and where nothing ran.
        second_instructions: of a second of audio; None where the length of a hop is not known.
        bit_exact: whether the board wrote the reference's bytes; None where nothing ran.
    """

    code_bytes: int
    constant_bytes: int
    ram_bytes: int
    stack_bytes: int
    output_instructions: float
    hop_instructions: float | None
    most_hop_instructions: int | None
    second_instructions: float | None
    bit_exact: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInstructions:
    """A layer and its costs of one output."""

    name: str
    constant_bytes: int
    ring_bytes: int
    macs: int
    instructions: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardReport:
    """Everything about a model on a board.

    Attributes:
        compiler: None where nothing was built.
        estimated: why nothing was run and what to do about it; None: all of it is measured.
        output_rows: input rows of one output; of a stream (`streaming`) its new ones.
        frontend: None of a model that is no pack: its front end is not known.
        layers: what belongs to none of them, such as taking turns, comes last.
    """

    name: str
    board: str
    core: str
    compiler: str | None
    estimated: str | None
    output_rows: int
    streaming: bool
    arena_bytes: int
    model: PartCost
    frontend: PartCost | None
    layers: tuple[LayerInstructions, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """What is reported about: hops of an output (0: not streaming, no pack) and outputs a second, where that is known."""

    source: ModelSource
    compiled: CModel
    graph: Graph
    cost: ModelCost

    @property
    def streaming(self) -> bool:
        return bool(self.compiled.program.stride)

    @property
    def hops(self) -> int:
        """From output to output."""
        return self.compiled.program.stride or (self.source.pack.inference_stride_hops if self.source.pack else self.cost.rows)

    def second(self, output_instructions: float) -> float | None:
        return output_instructions * 1000 / self.source.pack.frontend.hop_ms / self.hops if self.source.pack else None


def find_board(name: str) -> EmulatedBoard:
    """The emulated board `qemu-...`. Raises BoardError for another name."""
    board = BOARDS.get(name.removeprefix(_EMULATED)) if name.startswith(_EMULATED) else None
    if board is None:
        raise BoardError(f"board: expected one of {', '.join(_EMULATED + known for known in BOARDS)}, found {name}; choose the nearest")
    return board


def obstacle(board: EmulatedBoard, root: Path) -> str | None:
    """Why a board cannot run anything here, and what to do about it, in one line; None when it can."""
    if not (root / "firmware" / "ports" / "qemu").is_dir():
        return f"{_EMULATED}{board.name}: needs the firmware folder; run in a checkout of edge_kws"
    return None if (missing := board.missing()) is None else f"{_EMULATED}{missing}; in a checkout `make board-packages` installs them"


def report_on_board(source: ModelSource, board: EmulatedBoard, *, root: Path, stride: int | None = None) -> tuple[BoardReport, CModel]:
    """Measures a model on a board, or estimates it where that is impossible.

    Args:
        source: the model.
        board: from `find_board`.
        root: the checkout, absolute.
        stride: as `export_c`.

    Raises:
        ConversionError: a model that cannot be compiled. BoardError: the build or the program fails.
    """
    compiled, graph = plan_c(source, board.core, stride=stride, name="measured")
    form = _Form(source, compiled, graph, model_cost(compiled))
    why = obstacle(board, root)
    if why is None:
        with tempfile.TemporaryDirectory(prefix="edge-kws-report-") as folder:
            model, frontend, owned = _measure(form, board, Path(folder), root)
    else:
        model, frontend, owned = _estimate(form, board.core)
    report = BoardReport(
        name=source.name,
        board=_EMULATED + board.name,
        core=board.core,
        compiler=compiler(board) if why is None else None,
        estimated=why,
        output_rows=form.cost.rows,
        streaming=form.streaming,
        arena_bytes=form.cost.arena_bytes,
        model=model,
        frontend=frontend,
        layers=_layers(form.cost, owned),
    )
    return report, compiled


_Costs = tuple[PartCost, PartCost | None, Mapping[int, float]]
"""Of the model, of the front end, and instructions of an output by owner."""


def _measure(form: _Form, board: EmulatedBoard, folder: Path, root: Path) -> _Costs:
    source = form.source
    made = measure_model(board, form.compiled, Reference(source.model, form.graph), _input(form), folder / "model", root=root)
    outputs = len(made.steady) / (form.hops if form.streaming else 1)
    owned = {owner: count / outputs for owner, count in made.owned().items()}
    model = _measured(form, made, form.streaming)
    if source.pack is None:
        return model, None, owned
    config = source.pack.frontend
    heard = measure_frontend(board, config, speech(100 * config.hop_samples), folder / "frontend", root=root)
    return model, _measured(form, heard, True), owned


def _input(form: _Form) -> NDArray[np.int8]:
    """Speech for a pack, else rows that resemble features of it."""
    program, pack = form.compiled.program, form.source.pack
    count = program.input.rows + _OUTPUTS * program.stride
    if pack is None:
        rows = feature_rows(count, program.input.row_bytes)
    else:
        filling = pack.frontend.window_samples // pack.frontend.hop_samples
        rows = Frontend(pack.frontend).process(speech((count + filling) * pack.frontend.hop_samples))[0][:count]
    return rows if program.stride else rows.reshape(1, -1)


def _measured(form: _Form, made: Measured, hop_by_hop: bool) -> PartCost:
    sizes, output = made.firmware.sizes(), made.instructions * (form.hops if hop_by_hop else 1)
    return PartCost(
        code_bytes=sizes.code,
        constant_bytes=sizes.constants,
        ram_bytes=made.ram_bytes,
        stack_bytes=made.run.reports["stack"],
        output_instructions=output,
        hop_instructions=made.instructions if hop_by_hop else None,
        most_hop_instructions=made.most_instructions if hop_by_hop else None,
        second_instructions=form.second(output),
        bit_exact=made.bit_exact,
    )


def _estimate(form: _Form, core: str) -> _Costs:
    typical, cost, pack = TYPICAL[core], form.cost, form.source.pack
    owned = {n + 1: layer.macs * typical.mac_instructions for n, layer in enumerate(cost.layers)}
    sizes = (typical.code_bytes, cost.constant_bytes, cost.arena_bytes, typical.stack_bytes)
    model = _estimated(form, sizes, sum(owned.values()), form.streaming)
    if pack is None:
        return model, None, owned
    hop = typical.pcan_hop_instructions if pack.frontend.pcan else typical.hop_instructions
    return model, _estimated(form, (*FRONTEND_BYTES, typical.stack_bytes), hop * form.hops, True), owned


def _estimated(form: _Form, sizes: tuple[int, int, int, int], output: float, hop_by_hop: bool) -> PartCost:
    code, constants, ram, stack = sizes
    return PartCost(
        code_bytes=code,
        constant_bytes=constants,
        ram_bytes=ram,
        stack_bytes=stack,
        output_instructions=output,
        hop_instructions=output / form.hops if hop_by_hop else None,
        most_hop_instructions=None,
        second_instructions=form.second(output),
        bit_exact=None,
    )


def _layers(cost: ModelCost, owned: Mapping[int, float]) -> tuple[LayerInstructions, ...]:
    rows = [
        LayerInstructions(
            name=layer.name,
            constant_bytes=layer.constant_bytes,
            ring_bytes=layer.ring_bytes,
            macs=layer.macs,
            instructions=owned.get(n + 1, 0),
        )
        for n, layer in enumerate(cost.layers)
    ]
    rest = sum(count for owner, count in owned.items() if not 1 <= owner <= len(rows))
    if rest:
        rows.append(LayerInstructions(name="taking turns", constant_bytes=0, ring_bytes=0, macs=0, instructions=rest))
    return tuple(rows)
