"""A compiled model on an emulated board."""

from pathlib import Path

from edge_kws_boards.emulator import EmulatedBoard, Firmware, build
from edge_kws_converters.writers.c import CModel


def model_firmware(board: EmulatedBoard, compiled: CModel, folder: Path, *, root: Path, options: tuple[str, ...] = ("-O2",)) -> Firmware:
    """Builds a program that takes windows int8 (streaming: rows) and writes outputs int8.

    Its first region is the set-up, then one region a window or row; it reports `ram` and `stack` bytes.

    Args:
        board: where it will run.
        compiled: made for the board's core under the name `measured`.
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
