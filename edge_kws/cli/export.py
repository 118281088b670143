"""`edge-kws export`: a pack for other people's runtimes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Runtime(StrEnum):
    """Who takes what is written."""

    ESPHOME = "esphome"
    ONNX = "onnx"


def export(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A shipped pack or a pack file.", show_default=False)],
    to: Annotated[
        Runtime, typer.Option("--to", help="esphome: streaming .tflite and manifest. onnx: QDQ int8, whole window.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.", show_default=False)],
) -> None:
    """Write a pack in the form that another runtime takes, or say why that runtime would hear something else."""
    from edge_kws.pack import Pack
    from edge_kws_converters.compiler import read_model
    from edge_kws_converters.export import write_files
    from edge_kws_converters.writers.esphome import write_esphome
    from edge_kws_converters.writers.onnx import write_onnx

    loaded = Pack.load(pack)
    name = loaded.info.name
    if to is Runtime.ONNX:
        write_files(out, {f"{name}.onnx": write_onnx(read_model(loaded.model, name))})
        print(f"{name}: {name}.onnx in {out}; int8 features (1, {loaded.window_frames}, {loaded.frontend.mel_bins}) to int8 posteriors")
        return
    files = write_esphome(loaded)
    write_files(out, files)
    print(f"{name}: {', '.join(files)} in {out}; in ESPHome: micro_wake_word: models: - model: {out / name}.json")
