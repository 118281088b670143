"""What listening costs on a host: CPU time a second of audio, peak memory and start, ours and its peers', measured in turn on one core.

Every figure is a process of its own that takes the project's demo speech from a WAV file, repeated to a minute, in the blocks its
program takes when live: 50 ms for `edge-kws listen`, 64 ms for pymicro-wakeword, 80 ms for openWakeWord, 32 ms for silero-vad. One
thread. Of several rounds the fastest counts. Peers that are not installed are left out; `make bench-host` installs them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import _host_peers as peers
from _host_peers import Run, blocks
from _results import publish

if TYPE_CHECKING:
    from edge_kws import Pack

SECONDS = 60
BLOCK_SAMPLES = 800
NOT_INSTALLED = 3


def _features(wav: Path) -> Run:
    import numpy as np

    from edge_kws import Frontend, FrontendConfig

    # As pymicro-features: with noise reduction and PCAN.
    frontend = Frontend(FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666))

    def run() -> None:
        for block in blocks(wav, BLOCK_SAMPLES):
            frontend.process(np.frombuffer(block, np.int16))

    return run


def _wake_words(wav: Path, count: int) -> Run:
    from dataclasses import replace

    from edge_kws import Pack

    pack = Pack.load("marvin")
    return _detector(
        wav, *[replace(pack, info=pack.info.model_copy(update={"name": f"{pack.info.name}{number or ''}"})) for number in range(count)]
    )


def _shipped(wav: Path) -> Run:
    from edge_kws import Pack
    from edge_kws.resources import shipped_packs

    return _detector(wav, *[Pack.load(path) for path in shipped_packs().values()])


def _detector(wav: Path, *packs: "Pack") -> Run:
    import numpy as np

    from edge_kws import Detector

    detector = Detector(packs)

    def run() -> None:
        for block in blocks(wav, BLOCK_SAMPLES):
            detector.process(np.frombuffer(block, np.int16))

    return run


@dataclass(frozen=True)
class Case:
    """A row: `against` names the case whose CPU time is 1 in the column of ratios."""

    name: str
    start: Callable[[Path], Run]
    against: str


CASES = {
    "micro_features": Case("pymicro-wakeword, features alone", peers.micro_features, "micro_features"),
    "features": Case("edge_kws, features alone", _features, "micro_features"),
    "micro_1": Case("pymicro-wakeword, 1 wake word", partial(peers.micro_wake_words, count=1), "micro_1"),
    "ours_1": Case("edge_kws, 1 wake word", partial(_wake_words, count=1), "micro_1"),
    "ours_shipped": Case("edge_kws, all shipped packs", _shipped, "micro_1"),
    "pyopen_1": Case("pyopen-wakeword, 1 wake word", partial(peers.pyopen_wake_words, count=1), "micro_1"),
    "open_1": Case("openWakeWord (ONNX), 1 wake word", partial(peers.open_wake_words, count=1), "micro_1"),
    "silero": Case("silero-vad (ONNX), speech or not", peers.silero_vad, "micro_1"),
    "yamnet": Case("YAMNet every 0.48 s (LiteRT)", peers.yamnet, "micro_1"),
    "micro_4": Case("pymicro-wakeword, 4 wake words", partial(peers.micro_wake_words, count=4), "micro_4"),
    "ours_4": Case("edge_kws, 4 wake words", partial(_wake_words, count=4), "micro_4"),
    "pyopen_4": Case("pyopen-wakeword, 4 wake words", partial(peers.pyopen_wake_words, count=4), "micro_4"),
    "open_4": Case("openWakeWord (ONNX), 4 wake words", partial(peers.open_wake_words, count=4), "micro_4"),
}


def measure(case: str, wav: Path) -> dict[str, float]:
    """Runs one case in this process: CPU microseconds a second of audio, peak RSS in MB, seconds of CPU to load."""
    begun = time.process_time()
    run = CASES[case].start(wav)
    loaded = time.process_time()
    run()  # libraries that load on first use
    loaded, first = time.process_time(), loaded - begun
    run()
    return {"us_per_second": (time.process_time() - loaded) / SECONDS * 1e6, "peak_rss_mb": _peak_rss_mb(), "load_s": first}


def _peak_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the process that forked this one too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024  # macOS counts bytes


def _write_speech(wav: Path) -> None:
    import numpy as np

    from edge_kws.audio.file import read_pcm
    from edge_kws.resources import demo_speech

    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.resize(read_pcm(demo_speech()), SECONDS * 16_000).tobytes())


def _run_all(wav: Path, rounds: int) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The best figures of each case, and the cases that are not installed."""
    best: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for case in CASES:
            done = subprocess.run([sys.executable, __file__, "--case", case, str(wav)], capture_output=True, text=True, check=False)
            if done.returncode == NOT_INSTALLED:
                missing[case] = done.stderr.strip().splitlines()[-1]
                continue
            if done.returncode != 0:
                raise SystemExit(f"{case}: {done.stderr[-2000:]}")
            run: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            best[case] = {key: min(value, best.get(case, run)[key]) for key, value in run.items()}
    return best, [f"Not measured: {CASES[case].name} ({reason})." for case, reason in missing.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", nargs=2, metavar=("NAME", "WAV"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        try:
            print(json.dumps(measure(arguments.case[0], Path(arguments.case[1]))))
        except ImportError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(NOT_INSTALLED) from None
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # and so all children
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        _write_speech(wav)
        best, missing = _run_all(wav, arguments.rounds)
    rows: list[dict[str, object]] = []
    cells: list[list[str]] = []
    for case, figures in best.items():
        ratio = figures["us_per_second"] / best[CASES[case].against]["us_per_second"]
        rows.append({"case": case, "name": CASES[case].name, **figures, "ratio": ratio, "ratio_to": CASES[case].against})
        load, rss = f"{figures['load_s']:.2f}", f"{figures['peak_rss_mb']:.0f}"
        cells.append([CASES[case].name, f"{figures['us_per_second']:,.0f}", f"{ratio:.2f}", rss, load])
    headers = ("one core, one thread, WAV to events", "CPU us/s of audio", "ratio", "peak RSS MB", "load CPU s")
    publish("host", "Host cost", headers, cells, [*_notes(), *missing], {"rows": rows, "rounds": arguments.rounds})


def _notes() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    from edge_kws import Pack

    pack = Pack.load("marvin")
    found: list[str] = []
    for name in ("pymicro-wakeword", "pyopen-wakeword", "openwakeword", "silero-vad", "onnxruntime", "ai-edge-litert"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cost = f"{pack.info.macs_per_window:,} MACs a window, a step every {pack.inference_stride_hops} hops"
    return [
        f"edge_kws runs {pack.info.name} {pack.info.version} ({cost}); 4 wake words are that one under four names.",
        f"pymicro-wakeword runs {', '.join(peers.MICRO_MODELS)}. Versions: {', '.join(found)}.",
        "Ratios are to pymicro-wakeword with as many wake words; read no more than ratios: the machine is shared.",
    ]


if __name__ == "__main__":
    main()
