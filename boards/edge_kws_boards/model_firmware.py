"""A compiled model on an emulated board."""

from pathlib import Path

from edge_kws_boards.emulator import EmulatedBoard, Firmware, build
from edge_kws_converters.passes.clean import clean
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.passes.streamify import streamify
from edge_kws_converters.readers.tflite import read_tflite
from edge_kws_converters.writers.c import CModel, write_c


def compile_model(model: bytes, core: str, *, stride: int = 0) -> CModel:
    """C of a TFLite model under the name `measured`.

    Args:
        model: the flatbuffer.
        core: what `edge-kws convert --core` takes.
        stride: streaming, an output every so many rows; 0: whole windows.

    Raises:
        ConversionError: see the compiler.
    """
    program = lower(clean(read_tflite(model)))
    return write_c(streamify(program, stride) if stride else program, core, name="measured")


def model_firmware(board: EmulatedBoard, compiled: CModel, folder: Path, *, root: Path, options: tuple[str, ...] = ("-O2",)) -> Firmware:
    """Builds a program that takes windows int8 (streaming: rows) and writes outputs int8.

    Its first region is the set-up, then one region a window or row; it reports `ram` and `stack` bytes.

    Args:
        board: where it will run.
        compiled: from `compile_model`.
        folder: where to build.
        root: the checkout.
        options: optimisation and definitions.

    Raises:
        BoardError: tools are missing or the build fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.c").write_text(compiled.source)
    (folder / "model.h").write_text(compiled.header)
    port = root / "firmware" / "ports" / "qemu"
    return build(
        board, folder, root=root, harness=[port / "measure_model.c"], sources=[folder / "model.c"], include=[folder], options=options
    )
