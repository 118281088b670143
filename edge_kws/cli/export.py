"""`edge-kws export`: a pack for other people's runtimes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Runtime(StrEnum):
    """Who takes what is written."""

    ESPHOME = "esphome"


def export(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A shipped pack or a pack file.", show_default=False)],
    to: Annotated[Runtime, typer.Option("--to", help="esphome: streaming .tflite and manifest for micro_wake_word.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.", show_default=False)],
) -> None:
    """Write a pack in the form that another runtime takes, or say why that runtime would hear something else."""
    from edge_kws.pack import Pack
    from edge_kws_converters.export import write_files
    from edge_kws_converters.writers.esphome import write_esphome

    del to  # one so far
    loaded = Pack.load(pack)
    files = write_esphome(loaded)
    write_files(out, files)
    print(f"{loaded.info.name}: {', '.join(files)} in {out}; in ESPHome: micro_wake_word: models: - model: {out / loaded.info.name}.json")
