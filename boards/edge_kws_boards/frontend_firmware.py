"""The front end on an emulated board."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.frontend import FrontendConfig
from edge_kws_boards.emulator import EmulatedBoard, Firmware, build
from edge_kws_converters.frontend_source import frontend_source

FRONTEND_FILES: Final = ("frontend", "window", "fft", "mel", "noise_reduction", "pcan", "log_scale")


def frontend_sources(root: Path) -> list[Path]:
    """The C files of the front end, every variant: the core decides which of them hold code."""
    return sorted(path for name in FRONTEND_FILES for path in (root / "firmware" / "src").glob(f"{name}*.c"))


def frontend_firmware(
    board: EmulatedBoard, config: FrontendConfig, folder: Path, *, root: Path, options: tuple[str, ...] = ("-O2",)
) -> Firmware:
    """Builds a program that takes PCM (a multiple of hop_samples) int16 and writes features (frames, mel_bins) int8.

    Its first region is the set-up, then one region a hop; it reports `ram` and `stack` bytes.

    Args:
        board: where it will run.
        config: the front end's settings.
        folder: where to build.
        root: the checkout.
        options: optimisation and definitions.

    Raises:
        BoardError: tools are missing or the build fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = folder / "frontend_tables.c"
    tables.write_text(frontend_source(config, "measured"))
    port = root / "firmware" / "ports" / "qemu"
    return build(
        board,
        folder,
        root=root,
        harness=[port / "measure_frontend.c"],
        sources=[*frontend_sources(root), tables],
        include=[root / "firmware" / "include"],
        options=[*options, f"-DHOP={config.hop_samples}"],
    )


def features_of(output: bytes, config: FrontendConfig) -> NDArray[np.int8]:
    """What the program wrote, as (frames, mel_bins)."""
    return np.frombuffer(output, np.int8).reshape(-1, config.mel_bins)
