"""`edge-kws report`: what a model costs on a core or on a board, layer by layer."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from edge_kws.cli.model_card import columns, show
from edge_kws.errors import ConfigError

if TYPE_CHECKING:
    from edge_kws_boards.report import BoardReport, PartCost
    from edge_kws_converters.source import ModelSource
    from edge_kws_converters.writers.c import CModel

_ROOT = Path(__file__).resolve().parents[2]
_DEFAULT_CORE = "cortex-m4"
_WIDTH, _NAME_WIDTH = 100, 44
_MEMORY = ("flash", "code", "constants", "RAM", "stack", "bit-exact")
_COUNTS = {
    "an output": "output_instructions",
    "a hop": "hop_instructions",
    "costliest hop": "most_hop_instructions",
    "a second of audio": "second_instructions",
}


def report(
    model: Annotated[str, typer.Argument(help="A shipped pack, a pack file, an int8 .tflite, or a QDQ .onnx.", metavar="MODEL")],
    core: Annotated[str | None, typer.Option("--core", help=f"Core to compile for; {_DEFAULT_CORE} if neither this nor --board.")] = None,
    board: Annotated[
        str | None, typer.Option("--board", help="Build and run on this emulated board: qemu-m0, qemu-m4, qemu-m55, qemu-rv32, ...")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", help="Hops between outputs of the streaming form; 0: the whole window at once.", min=0)
    ] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Draw the memory plan: time against address.", metavar="FILE.svg")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show what a compiled model costs, layer by layer: flash, RAM, multiplications; with --board also stack and instructions, measured."""
    from edge_kws_converters.export import write_files
    from edge_kws_converters.source import open_model
    from edge_kws_converters.writers.plan_svg import write_plan_svg

    if board is not None and core is not None:
        raise ConfigError("report: --core: expected without --board, which has a core of its own, found both; leave one out")
    source = open_model(model)
    if board is None:
        made = _on_core(source, core or _DEFAULT_CORE, stride, as_json)
    else:
        made = _on_board(source, board, stride, as_json)
    if plan is not None:
        write_files(plan.parent, {plan.name: write_plan_svg(made.program, made.blocks)})
        if not as_json:
            print(f"memory plan: {plan}")


def _on_core(source: "ModelSource", core: str, stride: int | None, as_json: bool) -> "CModel":
    from edge_kws_converters.costs import model_cost
    from edge_kws_converters.export import plan_c

    made, _ = plan_c(source, core, stride=stride)
    cost = model_cost(made)
    if as_json:
        print(json.dumps({"name": source.name, "core": core, "streaming": bool(made.program.stride), **asdict(cost)}, indent=2))
        return made
    rows = [(layer.name, f"{layer.constant_bytes:,}", f"{layer.ring_bytes:,}", f"{layer.macs:,}") for layer in cost.layers]
    rows.append(("all", f"{cost.constant_bytes:,}", f"{cost.arena_bytes:,}", f"{cost.macs:,}"))
    headers = ("layer", "constants, bytes", "rows kept, bytes", "multiplications an output")
    show(columns(headers, iter(rows), right=headers[1:]))
    print(f"{source.name} for {core}: {_form(bool(made.program.stride), cost.rows)}. Rings share addresses: the arena is below their sum.")
    return made


def _on_board(source: "ModelSource", board: str, stride: int | None, as_json: bool) -> "CModel":
    from edge_kws_boards.report import find_board, report_on_board

    found, made = report_on_board(source, find_board(board), root=_ROOT, stride=stride)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        _show(found)
    return made


def _show(found: "BoardReport") -> None:
    how = "ESTIMATED" if found.estimated else f"measured, {found.compiler}"
    print(f"{found.name} on {found.board} ({found.core}): {how}; {_form(found.streaming, found.output_rows)}")
    if found.estimated:
        print(fill(f"Nothing was run, figures with ~ are estimates. {found.estimated}", _WIDTH))
    about = "~" if found.estimated else ""
    parts = [("model", found.model)] + ([("front end", found.frontend)] if found.frontend else [])
    both = [("both", _both(found.model, found.frontend))] if found.frontend else []
    _table("bytes", _MEMORY, [(name, *_memory(part, about)) for name, part in [*parts, *both]])
    _table("instructions", tuple(_COUNTS), [(name, *_instructions(part, about)) for name, part in [*parts, *both]])
    _show_layers(found, about)


def _table(first: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A blank line and a table, without the columns that hold nothing."""
    print()
    kept = [n for n in range(len(headers)) if any(row[n + 1] for row in rows)]
    names = [headers[n] for n in kept]
    show(columns((first, *names), [(row[0], *(row[n + 1] for n in kept)) for row in rows], right=names))


def _show_layers(found: "BoardReport", about: str) -> None:
    total = found.model.output_instructions
    rows = [
        (
            layer.name if len(layer.name) <= _NAME_WIDTH else layer.name[: _NAME_WIDTH - 1] + "…",
            f"{layer.constant_bytes:,}",
            f"{layer.ring_bytes:,}",
            f"{layer.macs:,}",
            f"{about}{layer.instructions:,.0f}" if layer.instructions else "",
            f"{layer.instructions / total:.1%}" if layer.instructions else "",
            f"{layer.instructions / layer.macs:.2f}" if layer.macs and not found.estimated else "",
        )
        for layer in found.layers
    ]
    constants, macs = sum(layer.constant_bytes for layer in found.layers), sum(layer.macs for layer in found.layers)
    mean = f"{total / macs:.2f}" if macs and not found.estimated else ""
    rows.append(("all", f"{constants:,}", f"{found.arena_bytes:,}", f"{macs:,}", f"{about}{total:,.0f}", "", mean))
    _table("layer", ("constants", "rows kept", "MACs", "instructions", "share", "a MAC"), rows)
    how = "estimated from MACs, within a factor of about two" if found.estimated else "counted exactly; they are not cycles"
    print(f"Every figure is of one output. Instructions: {how}.\nRows kept share addresses: together they take less than their sum.")


def _form(streaming: bool, rows: int) -> str:
    return f"one output every {rows} rows" if streaming else f"whole windows of {rows} rows"


def _memory(part: "PartCost", about: str) -> tuple[str, ...]:
    flash = part.code_bytes + part.constant_bytes
    exact = "not run" if part.bit_exact is None else "yes" if part.bit_exact else "NO"
    marked = [f"{about}{size:,}" for size in (flash, part.code_bytes, part.constant_bytes, part.ram_bytes, part.stack_bytes)]
    return (*marked, exact)


def _both(model: "PartCost", frontend: "PartCost") -> "PartCost":
    """Sums; the stack is one's after the other's."""
    sums = {key: _added(getattr(model, key), getattr(frontend, key)) for key in asdict(model)}
    exact = None if model.bit_exact is None else bool(model.bit_exact and frontend.bit_exact)
    return replace(model, **{**sums, "stack_bytes": max(model.stack_bytes, frontend.stack_bytes), "bit_exact": exact})


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _instructions(part: "PartCost", about: str) -> tuple[str, ...]:
    counts = [getattr(part, key) for key in _COUNTS.values()]
    return tuple("" if count is None else f"{about}{count:,.0f}" for count in counts)
