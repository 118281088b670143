"""What a model and the front end cost on microcontroller cores: exact instruction counts and memory, beside the peers'.

    make bench-mcu                                 the table, and benchmarks/results/mcu.json
    benchmarks/mcu.py --cores m4,m55               some cores; the results keep their rows of the others
    benchmarks/mcu.py --layers                     instructions of each function too; nothing is written

Counts are of instructions executed under QEMU, not cycles. Models nobody here wrote are read from --models.
M4 and M55 are measured with GCC and, where it is installed, with clang-19.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws_boards.emulator import BOARDS, EmulatedBoard, Run
from edge_kws_boards.measure import Measured, compiler, measure_frontend, measure_model, speech
from edge_kws_converters.export import plan_c
from edge_kws_converters.reference import Reference
from edge_kws_converters.source import open_model

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "mcu.json"
MODELS: Final = ROOT.parent / "shared" / "data" / "models"
FOREIGN: Final = ("kws_ref_model", "str_ww_ref_model", "micro_speech_quantized")
CORES: Final = ("m0plus", "m3", "m4", "m7", "m33", "m55", "rv32")
CLANG: Final = "clang-19"
CLANG_CORES: Final = ("m4", "m55")
"""Cores that are measured with clang too, where it is installed."""
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


@dataclass(frozen=True)
class Peer:
    """What someone else's runtime costs; None: not measured. Whether its bytes equal LiteRT's was not checked."""

    model: str
    core: str
    runtime: str
    unit: str
    instructions: int
    ram_bytes: int
    stack_bytes: int | None = None
    code_bytes: int | None = None
    constant_bytes: int | None = None
    startup_instructions: int | None = None


TFLM: Final = "TFLM + CMSIS-NN"
PEERS: Final = (
    Peer("kws_ref_model", "m0plus", TFLM, "inference", 29_002_299, 22_820, 884, 56_822, 53_940),
    Peer("kws_ref_model", "m3", TFLM, "inference", 10_530_000, 22_820, None, None, 53_940),
    Peer("kws_ref_model", "m4", TFLM, "inference", 7_699_255, 22_820, 948, 52_068, 53_940, 789_000),
    Peer("kws_ref_model", "m7", TFLM, "inference", 7_650_000, 22_820, None, None, 53_940),
    Peer("kws_ref_model", "m33", TFLM, "inference", 7_680_000, 22_820, None, None, 53_940),
    Peer("kws_ref_model", "m55", TFLM, "inference", 1_815_150, 27_348, 1_084, 43_399, 53_940),
    Peer("str_ww_ref_model", "m4", TFLM, "inference", 2_226_961, 16_596),
    Peer("str_ww_ref_model", "m55", TFLM, "inference", 407_295, 19_956),
    Peer("micro_speech_quantized", "m4", TFLM, "inference", 1_494_815, 6_836),
    Peer("micro_speech_quantized", "m55", TFLM, "inference", 1_007_626, 7_812),
    Peer("front end", "m4", "microfrontend", "hop", 85_300, 11_352),
    Peer("front end", "m4", "TFLM audio_preprocessor", "hop", 109_404, 8_448, None, 90_000, 9_000, 1_580_000),
)
"""Measured once for this project with GCC 12.2 under QEMU 7.2 and typed in here: this script does not run them. Figures that end in zeros
are rounded. They do not go into the results."""


def _row(model: str, made: Measured, instructions: float, unit: str) -> Row:
    sizes = made.firmware.sizes()
    return Row(
        model=model,
        core=made.firmware.board.name,
        compiler=compiler(made.firmware.board),
        instructions=round(instructions),
        ram_bytes=made.ram_bytes,
        stack_bytes=made.run.reports["stack"],
        code_bytes=sizes.code,
        constant_bytes=sizes.constants,
        startup_instructions=made.run.instructions[0],
        bit_exact=made.bit_exact,
        unit=unit,
    )


def frontend_row(board: EmulatedBoard, name: str, config: FrontendConfig, folder: Path, layers: Callable[[Run, int], None]) -> Row:
    """The front end on speech."""
    made = measure_frontend(board, config, speech(), folder / name.replace(", ", "_").replace(" ", "_"), root=ROOT)
    layers(made.run, len(made.run.instructions) - 1)
    return _row(name, made, made.instructions, "hop")


def model_row(board: EmulatedBoard, path: Path, folder: Path, layers: Callable[[Run, int], None]) -> Row:
    """A whole-window model on two random windows."""
    source = open_model(str(path))
    compiled, graph = plan_c(source, board.core, stride=0, name="measured")
    windows = np.random.default_rng(0).integers(-128, 128, (2, compiled.program.input.rows * compiled.program.input.row_bytes), np.int8)
    made = measure_model(board, compiled, Reference(source.model, graph), windows, folder / path.stem, root=ROOT)
    layers(made.run, made.steady.start)
    return _row(path.stem, made, made.instructions, "inference")


def streaming_row(board: EmulatedBoard, path: Path, folder: Path, layers: Callable[[Run, int], None]) -> Row:
    """A pack, streaming on the features of speech: instructions of a second, without the front end."""
    source, pack = open_model(str(path)), Pack.load(path)
    compiled, graph = plan_c(source, board.core, name="measured")
    features = Frontend(pack.frontend).process(speech())[0]
    made = measure_model(board, compiled, Reference(source.model, graph), features, folder / path.stem, root=ROOT)
    layers(made.run, made.steady.start)
    name = f"{path.stem}, streaming every {pack.inference_stride_hops} hops"
    return _row(name, made, made.instructions * HOPS_A_SECOND, "audio_second")


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


def boards(cores: list[str]) -> list[EmulatedBoard]:
    """A board for each core and compiler."""
    found: list[EmulatedBoard] = []
    for core in cores:
        found.append(BOARDS[core])
        if core in CLANG_CORES and shutil.which(CLANG):
            found.append(replace(BOARDS[core], clang=CLANG))
    return found


def measure(board: EmulatedBoard, models: Path, folder: Path, layers: bool) -> Iterator[Row]:
    """Every row of a core."""

    def print_layers(run: Run, region: int) -> None:
        if layers:
            print("\n".join(f"    {count:10,d}  {name}" for name, count in run.profiles[region].most_common(12)))

    frontends = [
        frontend_row(board, "front end", FrontendConfig(), folder, print_layers),
        frontend_row(
            board,
            "front end, noise reduction, PCAN",
            FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666),
            folder,
            print_layers,
        ),
    ]
    yield from frontends
    for path in (models / f"{name}.tflite" for name in FOREIGN):
        if path.exists():
            yield model_row(board, path, folder, print_layers)
        else:
            print(f"mcu: {path.name} is not in {models}: left out (--models)", file=sys.stderr)
    for path in sorted((ROOT / "models").glob("*.tflite")):
        row = streaming_row(board, path, folder, print_layers)
        yield row
        yield with_frontend(row, frontends[int(Pack.load(path).frontend.pcan)])


_HEADINGS: Final = ("instructions", "RAM", "stack", "code", "constants", "start-up", "exact")


def print_row(row: Row | Peer) -> None:
    """One line of the table; empty where a peer was not measured."""
    values = (row.instructions, row.ram_bytes, row.stack_bytes, row.code_bytes, row.constant_bytes, row.startup_instructions)
    numbers = " | ".join("" if value is None else f"{value:,}" for value in values)
    runtime, exact = (row.runtime, "") if isinstance(row, Peer) else (row.compiler, "yes" if row.bit_exact else "NO")
    print(f"| {row.model} | {row.core} | {runtime} | {row.unit} | {numbers} | {exact} |", flush=True)


def write(rows: list[Row], cores: list[str]) -> None:
    """The results file: of these cores the new rows, of others those that it has."""
    kept = [Row(**row) for row in json.loads(RESULTS.read_text())] if RESULTS.exists() else []
    order = list(BOARDS)
    merged = sorted((*(row for row in kept if row.core not in cores), *rows), key=lambda row: order.index(row.core))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("[\n" + ",\n".join(f"  {json.dumps(asdict(row))}" for row in merged) + "\n]\n")
    print(f"written: {RESULTS.relative_to(ROOT)}")


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
        for board in boards(cores):
            for row in measure(board, arguments.models, Path(folder) / board.name / (board.clang or "gcc"), arguments.layers):
                for peer in (p for p in PEERS if (p.model, p.core) == (row.model, row.core) and not board.clang):
                    print_row(peer)
                print_row(row)
                rows.append(row)
    if not shutil.which(CLANG) and set(cores) & set(CLANG_CORES):
        print(f"mcu: {CLANG} is not installed: its rows are left out and nothing is written (Debian: {CLANG})", file=sys.stderr)
    elif not arguments.layers:
        write(rows, cores)
    if wrong := [f"{row.model} on {row.core}" for row in rows if not row.bit_exact]:
        raise SystemExit(f"mcu: not bit-exact: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
