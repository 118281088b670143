"""Models and the front end, measured on an emulated board: exact instruction counts, memory, and whether the bytes are right."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.resources import demo_speech
from edge_kws_boards.emulator import EmulatedBoard, Firmware, Run, call
from edge_kws_boards.frontend_firmware import frontend_firmware
from edge_kws_boards.layer_counts import layer_owners
from edge_kws_boards.model_firmware import model_firmware
from edge_kws_converters.golden import reference_outputs
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.c import CModel

_RATE_HZ = 16000


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of a program, and what there is to say about it.

    Attributes:
        firmware, run: the program and what it left behind.
        steady: the regions that count: set-up and filling the first window do not.
        bit_exact: whether the bytes written are the reference's.
    """

    firmware: Firmware
    run: Run
    steady: range
    bit_exact: bool

    @property
    def instructions(self) -> float:
        """Instructions of a steady region, the mean: of a hop, a row or a window."""
        return sum(self.run.instructions[i] for i in self.steady) / len(self.steady)

    @property
    def most_instructions(self) -> int:
        """Instructions of the costliest steady region."""
        return max(self.run.instructions[i] for i in self.steady)

    @property
    def ram_bytes(self) -> int:
        """State and variables; no stack."""
        return self.run.reports["ram"] + self.firmware.sizes().ram

    def owned(self) -> Counter[int]:
        """Instructions by owner over all steady regions."""
        total: Counter[int] = Counter()
        for i in self.steady:
            total.update(self.run.owned[i])
        return total


def compiler(board: EmulatedBoard) -> str:
    """Name, version and optimisation of a board's compiler."""
    name = "clang" if board.clang else "gcc"
    text = call([board.clang or f"{board.tools}gcc", "--version"])
    version = re.search(r"\b(\d+\.\d+\.\d+)\b", text)
    return f"{name} {version[1] if version else '?'} -O2"


def speech(samples: int = 2 * _RATE_HZ) -> NDArray[np.int16]:
    """Some of the demo's speech at 16 kHz, from its second second on; over again when more is wanted than there is."""
    pcm = np.asarray(soundfile.read(demo_speech(), dtype="int16")[0], np.int16)
    return np.resize(pcm[_RATE_HZ:], samples)


def measure_frontend(board: EmulatedBoard, config: FrontendConfig, pcm: NDArray[np.int16], folder: Path, *, root: Path) -> Measured:
    """The front end on sound.

    Args:
        board: where it runs.
        config: the front end's settings.
        pcm: (samples,) int16, a whole number of hops.
        folder: where to build.
        root: the checkout.

    Raises:
        BoardError: tools are missing, the build fails, or the program does.
    """
    firmware = frontend_firmware(board, config, folder, root=root)
    run = firmware.run(pcm.tobytes())
    first = 1 + config.window_samples // config.hop_samples  # until then the window is only filled
    return Measured(firmware, run, range(first, len(run.instructions)), run.output == Frontend(config).process(pcm)[0].tobytes())


def measure_model(
    board: EmulatedBoard, compiled: CModel, reference: Reference, rows: NDArray[np.int8], folder: Path, *, root: Path
) -> Measured:
    """A compiled model on its input; owner n + 1 of its instructions is the layer n.

    Args:
        board: where it runs.
        compiled: made for the board's core under the name `measured`.
        reference: of the same model.
        rows: int8, windows (n, input bytes) or, of a stream, rows (n, row bytes), at least one stride more than a window.
        folder: where to build.
        root: the checkout.

    Raises:
        BoardError: tools are missing, the build fails, or the program does.
    """
    program = compiled.program
    firmware = model_firmware(board, compiled, folder, root=root, options=("-O2", "-g"))
    run = firmware.run(rows.tobytes(), owners=layer_owners(firmware))
    exact = run.output == reference_outputs(program, reference, rows).tobytes()
    if not program.stride:
        return Measured(firmware, run, range(1, 2), exact)
    first = 1 + program.input.rows
    steps = (len(run.instructions) - first) // program.stride
    return Measured(firmware, run, range(first, first + steps * program.stride), exact)
