"""`edge-kws report`: what a model costs on a core or on a board, layer by layer."""

import json
from dataclasses import asdict
from pathlib import Path
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
_NAME_WIDTH = 44


def report(
    model: Annotated[str, typer.Argument(help="A shipped pack, a pack file, or an int8 .tflite.", metavar="MODEL")],
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
    cost = model_cost(made, core)
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
    parts = [("model", found.model)] + ([("front end", found.frontend)] if found.frontend else [])
    how = "ESTIMATED" if found.estimated else f"measured, {found.compiler}"
    print(f"{found.name} on {found.board} ({found.core}): {how}; {_form(found.streaming, found.output_rows)}")
    if found.estimated:
        print(f"Nothing was run. {found.estimated}")
    print()
    headers = ("bytes", "flash", "code", "constants", "RAM", "stack", "bit-exact")
    rows = [(name, *_memory(part)) for name, part in parts]
    if found.frontend:
        rows.append(("both", *_both(found.model, found.frontend)))
    show(columns(headers, rows, right=headers[1:]))
    print()
    headers = ("instructions", "an output", "a hop", "costliest hop", "a second of audio")
    rows = [(name, *_instructions(part)) for name, part in parts]
    if found.frontend:
        totals = [_added(getattr(found.model, key), getattr(found.frontend, key)) for key in _COUNTS]
        rows.append(("both", *map(_count, totals)))
    show(columns(headers, rows, right=headers[1:]))
    print()
    _show_layers(found)


_COUNTS = ("output_instructions", "hop_instructions", "most_hop_instructions", "second_instructions")


def _show_layers(found: "BoardReport") -> None:
    total = found.model.output_instructions
    headers = ("layer", "constants", "rows kept", "MACs", "instructions", "share", "a MAC")
    rows = [
        (
            layer.name if len(layer.name) <= _NAME_WIDTH else layer.name[: _NAME_WIDTH - 1] + "…",
            f"{layer.constant_bytes:,}",
            f"{layer.ring_bytes:,}",
            f"{layer.macs:,}",
            f"{layer.instructions:,.0f}",
            f"{layer.instructions / total:.1%}" if total else "",
            f"{layer.instructions / layer.macs:.2f}" if layer.macs else "",
        )
        for layer in found.layers
    ]
    constants, macs = sum(layer.constant_bytes for layer in found.layers), sum(layer.macs for layer in found.layers)
    rows.append(
        ("all", f"{constants:,}", f"{found.arena_bytes:,}", f"{macs:,}", f"{total:,.0f}", "", f"{total / macs:.2f}" if macs else "")
    )
    show(columns(headers, rows, right=headers[1:]))
    what = "estimated from multiplications" if found.estimated else "counted"
    print(f"Of one output; instructions {what}. Rows share addresses: the arena is below their sum. Instructions are not cycles.")


def _form(streaming: bool, rows: int) -> str:
    return f"one output every {rows} rows" if streaming else f"whole windows of {rows} rows"


def _memory(part: "PartCost") -> tuple[str, ...]:
    sizes = (part.code_bytes + part.constant_bytes, part.code_bytes, part.constant_bytes, part.ram_bytes, part.stack_bytes)
    return (*(f"{size:,}" for size in sizes), _verdict(part.bit_exact))


def _both(model: "PartCost", frontend: "PartCost") -> tuple[str, ...]:
    code, constants = model.code_bytes + frontend.code_bytes, model.constant_bytes + frontend.constant_bytes
    exact = None if model.bit_exact is None else bool(model.bit_exact and frontend.bit_exact)
    sizes = (code + constants, code, constants, model.ram_bytes + frontend.ram_bytes, max(model.stack_bytes, frontend.stack_bytes))
    return (*(f"{size:,}" for size in sizes), _verdict(exact))


def _verdict(exact: bool | None) -> str:
    return "not run" if exact is None else "yes" if exact else "NO"


def _instructions(part: "PartCost") -> tuple[str, ...]:
    return tuple(_count(getattr(part, key)) for key in _COUNTS)


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _count(count: float | None) -> str:
    return "" if count is None else f"{count:,.0f}"
