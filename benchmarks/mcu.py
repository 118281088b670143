"""What a model and the front end cost on microcontroller cores: exact instruction counts and memory, beside the peers'.

    make bench-mcu                                 the table, and benchmarks/results/mcu.json
    benchmarks/mcu.py --cores m4,m55 --layers      some cores; instructions of each function too

Counts are of instructions executed under QEMU, not cycles. Models nobody here wrote are read from --models.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws_boards.emulator import BOARDS, EmulatedBoard, Firmware, Run
from edge_kws_boards.frontend_firmware import frontend_firmware
from edge_kws_boards.model_firmware import compile_model, model_firmware

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "mcu.json"
MODELS: Final = ROOT.parent / "shared" / "data" / "models"
FOREIGN: Final = ("kws_ref_model", "str_ww_ref_model", "micro_speech_quantized")
CORES: Final = ("m0plus", "m3", "m4", "m7", "m33", "m55", "rv32")
HOPS_A_SECOND: Final = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement; `unit`: what the instructions are for."""

    model: str
    core: str
    compiler: str
    instructions: int
    ram_bytes: int
    stack_bytes: int
    code_bytes: int
    constant_bytes: int
    startup_instructions: int
    bit_exact: bool
    unit: str


def _peer(model: str, core: str, runtime: str, instructions: int, ram: int, stack: int, code: int, constants: int, unit: str) -> Row:
    return Row(
        model=model, core=core, compiler=runtime, instructions=instructions, ram_bytes=ram, stack_bytes=stack, code_bytes=code,
        constant_bytes=constants, startup_instructions=789_000 if core == "m4" and unit == "inference" else 0, bit_exact=True, unit=unit,
    )  # fmt: skip


TFLM: Final = "TFLM + CMSIS-NN"
PEERS: Final = (
    _peer("kws_ref_model", "m0plus", TFLM, 29_002_299, 22_820, 884, 56_822, 53_940, "inference"),
    _peer("kws_ref_model", "m3", TFLM, 10_530_000, 22_820, 900, 52_000, 53_940, "inference"),
    _peer("kws_ref_model", "m4", TFLM, 7_699_255, 22_820, 948, 52_068, 53_940, "inference"),
    _peer("kws_ref_model", "m7", TFLM, 7_650_000, 22_820, 900, 52_000, 53_940, "inference"),
    _peer("kws_ref_model", "m33", TFLM, 7_680_000, 22_820, 900, 52_000, 53_940, "inference"),
    _peer("kws_ref_model", "m55", TFLM, 1_815_150, 27_348, 1_084, 43_399, 53_940, "inference"),
    _peer("str_ww_ref_model", "m4", TFLM, 2_226_961, 16_596, 0, 0, 0, "inference"),
    _peer("str_ww_ref_model", "m55", TFLM, 407_295, 19_956, 0, 0, 0, "inference"),
    _peer("micro_speech_quantized", "m4", TFLM, 1_494_815, 6_836, 0, 0, 0, "inference"),
    _peer("micro_speech_quantized", "m55", TFLM, 1_007_626, 7_812, 0, 0, 0, "inference"),
    _peer("front end", "m4", "microfrontend", 85_300, 11_352, 0, 30_000, 0, "hop"),
    _peer("front end", "m4", "TFLM audio_preprocessor", 109_404, 8_448, 0, 90_000, 9_000, "hop"),
)
"""Measured for this project with GCC 12.2 under QEMU 7.2; 0: not measured. They do not go into the results."""


def _compiler(board: EmulatedBoard) -> str:
    text = subprocess.run([f"{board.tools}gcc", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\b(\d+\.\d+\.\d+)\b", text)
    return f"gcc {version[1] if version else '?'} -O2"


def _row(model: str, firmware: Firmware, run: Run, instructions: float, exact: bool, unit: str) -> Row:
    sizes = firmware.sizes()
    return Row(
        model=model,
        core=firmware.board.name,
        compiler=_compiler(firmware.board),
        instructions=round(instructions),
        ram_bytes=run.reports["ram"] + sizes.ram,
        stack_bytes=run.reports["stack"],
        code_bytes=sizes.code,
        constant_bytes=sizes.constants,
        startup_instructions=run.instructions[0],
        bit_exact=exact,
        unit=unit,
    )


class Reference:
    """LiteRT's reference kernels, which define right."""

    def __init__(self, model: bytes) -> None:
        self._interpreter: Any = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self._interpreter.allocate_tensors()
        self._input: Any = self._interpreter.get_input_details()[0]
        self._output: Any = self._interpreter.get_output_details()[0]
        self.shape: tuple[int, ...] = tuple(int(n) for n in self._input["shape"])

    def __call__(self, window: NDArray[np.int8]) -> bytes:
        """One window to the bytes of its output."""
        self._interpreter.set_tensor(self._input["index"], window.reshape(self.shape))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"]).tobytes()


def _speech() -> NDArray[np.int16]:
    """Two seconds of the demo, a whole number of hops."""
    samples = np.asarray(soundfile.read(ROOT / "examples" / "demo.flac", dtype="int16")[0], np.int16)
    return samples[16000:48000]


def measure_frontend(board: EmulatedBoard, folder: Path, layers: Callable[[Run, int], None]) -> Iterator[Row]:
    """The front end, without and with noise reduction and PCAN, on speech."""
    pcm = _speech()
    for name, config in (
        ("front end", FrontendConfig()),
        ("front end, noise reduction, PCAN", FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)),
    ):
        firmware = frontend_firmware(board, config, folder / name.replace(", ", "_").replace(" ", "_"), root=ROOT)
        run = firmware.run(pcm.tobytes())
        hops = run.instructions[1 + config.window_samples // config.hop_samples :]  # the first window is only filled
        exact = run.output == Frontend(config).process(pcm)[0].tobytes()
        yield _row(name, firmware, run, sum(hops) / len(hops), exact, "hop")
        layers(run, len(run.instructions) - 1)


def measure_model(board: EmulatedBoard, path: Path, folder: Path, layers: Callable[[Run, int], None]) -> Row:
    """A whole-window model on two random windows."""
    model = path.read_bytes()
    reference = Reference(model)
    windows = np.random.default_rng(0).integers(-128, 128, (2, *reference.shape), np.int8)
    firmware = model_firmware(board, compile_model(model, board.core), folder / path.stem, root=ROOT)
    run = firmware.run(windows.tobytes())
    layers(run, 1)
    return _row(path.stem, firmware, run, run.instructions[1], run.output == b"".join(map(reference, windows)), "inference")


def measure_streaming(board: EmulatedBoard, path: Path, folder: Path, layers: Callable[[Run, int], None]) -> Row:
    """A pack, streaming on the features of speech: instructions of a second, without the front end."""
    pack = Pack.load(path)
    model, stride, frames = path.read_bytes(), pack.inference_stride_hops, pack.window_frames
    features = Frontend(pack.frontend).process(_speech())[0]
    firmware = model_firmware(board, compile_model(model, board.core, stride=stride), folder / path.stem, root=ROOT)
    run = firmware.run(features.tobytes())
    reference = Reference(model)
    ends = range(frames, len(features) + 1, stride)
    exact = run.output == b"".join(reference(features[end - frames : end]) for end in ends)
    steady = run.instructions[1 + frames :]
    steady = steady[: len(steady) // stride * stride]
    layers(run, 1 + frames)
    return _row(
        f"{path.stem}, streaming every {stride} hops", firmware, run, sum(steady) / len(steady) * HOPS_A_SECOND, exact, "audio_second"
    )


def with_frontend(model: Row, frontend: Row) -> Row:
    """A streaming model and the front end that feeds it."""
    return replace(
        model,
        model=f"{model.model}, with front end",
        instructions=model.instructions + frontend.instructions * HOPS_A_SECOND,
        ram_bytes=model.ram_bytes + frontend.ram_bytes,
        stack_bytes=max(model.stack_bytes, frontend.stack_bytes),
        code_bytes=model.code_bytes + frontend.code_bytes,
        constant_bytes=model.constant_bytes + frontend.constant_bytes,
        startup_instructions=model.startup_instructions + frontend.startup_instructions,
        bit_exact=model.bit_exact and frontend.bit_exact,
    )


def measure(board: EmulatedBoard, models: Path, folder: Path, layers: bool) -> Iterator[Row]:
    """Every row of a core."""

    def print_layers(run: Run, region: int) -> None:
        if layers:
            print("\n".join(f"    {count:10,d}  {name}" for name, count in run.profiles[region].most_common(12)))

    frontends = list(measure_frontend(board, folder, print_layers))
    yield from frontends
    for path in (models / f"{name}.tflite" for name in FOREIGN):
        if path.exists():
            yield measure_model(board, path, folder, print_layers)
        else:
            print(f"mcu: {path.name} is not in {models}: left out (--models)", file=sys.stderr)
    for path in sorted((ROOT / "models").glob("*.tflite")):
        row = measure_streaming(board, path, folder, print_layers)
        yield row
        yield with_frontend(row, frontends[int(Pack.load(path).frontend.pcan)])


_HEADINGS: Final = ("instructions", "RAM", "stack", "code", "constants", "start-up", "exact")


def print_row(row: Row) -> None:
    """One line of the table."""
    values = (row.instructions, row.ram_bytes, row.stack_bytes, row.code_bytes, row.constant_bytes, row.startup_instructions)
    numbers = " | ".join(f"{value:,}" if value or position == 5 else "" for position, value in enumerate(values))
    print(f"| {row.model} | {row.core} | {row.compiler} | {row.unit} | {numbers} | {'yes' if row.bit_exact else 'NO'} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cores", default=",".join(CORES), help=f"comma-separated, of {', '.join(BOARDS)}")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the models nobody here wrote")
    parser.add_argument("--layers", action="store_true", help="instructions of each function too; nothing is written")
    arguments = parser.parse_args()
    cores = arguments.cores.split(",")
    if unknown := [core for core in cores if core not in BOARDS]:
        parser.error(f"--cores: expected some of {', '.join(BOARDS)}, found {', '.join(unknown)}")
    if missing := [text for core in cores if (text := BOARDS[core].missing())]:
        parser.error("; ".join(missing))
    rows: list[Row] = []
    print(f"| model | core | runtime or compiler | unit | {' | '.join(_HEADINGS)} |\n|---|---|---|---|{'---|' * len(_HEADINGS)}")
    with tempfile.TemporaryDirectory() as folder:
        for core in cores:
            for row in measure(BOARDS[core], arguments.models, Path(folder) / core, arguments.layers):
                for peer in (p for p in PEERS if (p.model, p.core) == (row.model, row.core)):
                    print_row(peer)
                print_row(row)
                rows.append(row)
    if not arguments.layers and cores == list(CORES):
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("[\n" + ",\n".join(f"  {json.dumps(asdict(row))}" for row in rows) + "\n]\n")
        print(f"written: {RESULTS.relative_to(ROOT)}")
    if wrong := [f"{row.model} on {row.core}" for row in rows if not row.bit_exact]:
        raise SystemExit(f"mcu: not bit-exact: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
