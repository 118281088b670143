"""`edge-kws import`: models that were trained elsewhere become packs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_kws.pack import Pack

import_ = typer.Typer(help="Make a pack of a model that was trained elsewhere.", no_args_is_help=True)

_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The pack to write.", show_default=False)]
_License = Annotated[str, typer.Option("--license", metavar="TEXT", help="Licence of the weights, as their author states it.")]


@import_.command()
def microwakeword(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Manifest (.json), or the .tflite beside it.", show_default=False)],
    out: _Out,
    license: _License = "not stated",
) -> None:
    """A wake word of microWakeWord, as ESPHome and Home Assistant use it."""
    from edge_kws_converters.foreign import import_microwakeword

    _write(import_microwakeword(file, license), out)


@import_.command()
def tflite(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="int8 .tflite: features in, posteriors out.", show_default=False)],
    labels: Annotated[
        str,
        typer.Option(
            "--labels", metavar="A,B,...", help="One per output, in order; one that begins with _ never fires.", show_default=False
        ),
    ],
    out: _Out,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Average posterior at which a label fires.")] = 0.9,
    average: Annotated[int, typer.Option(min=1, max=64, help="Posteriors averaged.")] = 5,
    stride: Annotated[int, typer.Option(min=1, max=1000, help="Hops between runs; a streaming model has its own.")] = 2,
    esphome: Annotated[bool, typer.Option("--esphome-features", help="Features with noise reduction and gain control (D = 666).")] = False,
    license: _License = "not stated",
) -> None:
    """Any int8 classifier on our features, whole-window or streaming."""
    from edge_kws_converters.foreign import import_tflite

    names = [label.strip() for label in labels.split(",")]
    pack = import_tflite(file, names, threshold=threshold, average_window=average, stride=stride, esphome=esphome, license=license)
    _write(pack, out)


def _write(pack: "Pack", out: Path) -> None:
    from edge_kws.errors import ConversionError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pack.write(out)
    except OSError as error:
        raise ConversionError(f"{out}: expected a file that can be written, found: {error.strerror}; choose another --out") from None
    frames, hops = pack.window_frames, pack.inference_stride_hops
    print(f"{pack.info.name}: {out}: {', '.join(pack.labels)}; a window of {frames} frames every {hops}; next: edge-kws inspect {out}")
