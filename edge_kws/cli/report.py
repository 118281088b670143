"""`edge-kws report`: what a model costs on a core, layer by layer."""

from pathlib import Path
from typing import Annotated

import typer

from edge_kws.cli.model_card import columns, show


def report(
    model: Annotated[str, typer.Argument(help="A shipped pack, a pack file, an int8 .tflite, or a QDQ .onnx.", metavar="MODEL")],
    core: Annotated[str, typer.Option("--core", help="Core to compile for, such as cortex-m4.")] = "cortex-m4",
    stride: Annotated[
        int | None, typer.Option("--stride", help="Hops between outputs of the streaming form; 0: the whole window at once.", min=0)
    ] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Draw the memory plan: time against address.", metavar="FILE.svg")] = None,
) -> None:
    """Show constants in flash, RAM and multiplications of a compiled model, layer by layer."""
    from edge_kws_converters.costs import model_cost
    from edge_kws_converters.export import plan_c, write_files
    from edge_kws_converters.source import open_model
    from edge_kws_converters.writers.plan_svg import write_plan_svg

    source = open_model(model)
    made = plan_c(source, core, stride=stride)
    cost = model_cost(made, core)
    rows = [(layer.name, f"{layer.constant_bytes:,}", f"{layer.ring_bytes:,}", f"{layer.macs:,}") for layer in cost.layers]
    rows.append(("all", f"{cost.constant_bytes:,}", f"{cost.arena_bytes:,}", f"{cost.macs:,}"))
    headers = ("layer", "constants, bytes", "rows kept, bytes", "multiplications an output")
    show(columns(headers, iter(rows), right=headers[1:]))
    form = f"one output every {cost.rows} rows" if made.program.stride else f"whole windows of {cost.rows} rows"
    print(f"{source.name} for {core}: {form}. Rings share addresses, so the arena is smaller than their sum.")
    if plan is not None:
        write_files(plan.parent, {plan.name: write_plan_svg(made.program, made.blocks)})
        print(f"memory plan: {plan}")
