"""`edge-kws convert`: a model into C, or into another form of itself."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_kws.errors import ConfigError


class Target(StrEnum):
    """What a model can become."""

    C = "c"
    C_ARRAY = "c-array"
    TFLITE_STREAMING = "tflite-streaming"


def convert(
    model: Annotated[str, typer.Argument(help="A shipped pack, a pack file, an int8 .tflite, or a QDQ .onnx.", metavar="MODEL")],
    to: Annotated[Target, typer.Option("--to", help="c: no interpreter. c-array: for TFLM. tflite-streaming: rows in, state kept inside.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files; the file itself for tflite-streaming.", metavar="PATH")],
    core: Annotated[
        str,
        typer.Option("--core", help="Core to compile for: cortex-m4, cortex-m0plus, cortex-m55, rv32, host (this machine's vectors), ..."),
    ] = "portable",
    stride: Annotated[
        int | None, typer.Option("--stride", help="Hops between outputs of the streaming form; 0: the whole window at once.", min=0)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name in the generated C; the model's own if not given.")] = None,
) -> None:
    """Convert an int8 model to C that needs no interpreter, to a C array, or to TFLite that keeps its own state between calls."""
    from edge_kws_converters.export import export_c, export_c_array, export_tflite_streaming
    from edge_kws_converters.source import open_model

    source = open_model(model)
    if to is Target.TFLITE_STREAMING:
        print(f"{source.name}: {out}: {export_tflite_streaming(source, out, stride=stride):,} bytes; keeps its own state")
        return
    if to is Target.C_ARRAY:
        if stride is not None:
            raise ConfigError("convert: --stride: expected with --to c, found with --to c-array; leave it out")
        print(f"{source.name}: {', '.join(export_c_array(source, out, name=name))} in {out}")
        return
    made = export_c(source, out, core, stride=stride, name=name)
    program = made.program
    form = f"one output every {program.stride} rows" if program.stride else f"whole windows of {program.input.rows} rows"
    print(f"{source.name}: model.c, model.h, self_test.c in {out}: {form}, {program.arena_bytes} bytes of arena, for {core}")
