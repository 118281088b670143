"""What listening costs on a host: CPU time a second of audio, peak memory and start, ours and pymicro-wakeword's, measured in turn.

Every figure is a process of its own that takes the project's demo speech from a WAV file, repeated to a minute, in the blocks its
program takes when live: 50 ms for `edge-kws listen`, 64 ms for pymicro-wakeword. One thread. Of several rounds the fastest counts.
"""

# pymicro-wakeword carries few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

from _results import package, publish

SECONDS = 60
MODELS = ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa")
OUR_BLOCK_SAMPLES, THEIR_BLOCK_SAMPLES = 800, 1024


def _their_features(wav: Path) -> Callable[[], None]:
    from pymicro_wakeword import MicroWakeWordFeatures

    features = MicroWakeWordFeatures()

    def run() -> None:
        for block in _blocks(wav, THEIR_BLOCK_SAMPLES):
            for _ in features.process_streaming(block):
                pass

    return run


def _their_models(wav: Path, count: int) -> Callable[[], None]:
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    models = [MicroWakeWord.from_builtin(Model(name)) for name in MODELS[:count]]
    features = MicroWakeWordFeatures()

    def run() -> None:
        for block in _blocks(wav, THEIR_BLOCK_SAMPLES):
            for frame in features.process_streaming(block):
                for model in models:
                    model.process_streaming(frame)

    return run


def _blocks(wav: Path, samples: int) -> Iterator[bytes]:
    with wave.open(str(wav)) as file:
        while block := file.readframes(samples):
            yield block


def _our_features(wav: Path) -> Callable[[], None]:
    import numpy as np

    from edge_kws import Frontend, FrontendConfig

    # As theirs: with noise reduction and PCAN.
    frontend = Frontend(FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666))

    def run() -> None:
        for block in _blocks(wav, OUR_BLOCK_SAMPLES):
            frontend.process(np.frombuffer(block, np.int16))

    return run


def _our_models(wav: Path, count: int) -> Callable[[], None]:
    from dataclasses import replace

    import numpy as np

    from edge_kws import Detector, Pack

    pack = Pack.load(_our_pack())
    packs = [replace(pack, info=pack.info.model_copy(update={"name": f"{pack.info.name}{number or ''}"})) for number in range(count)]
    detector = Detector(packs)

    def run() -> None:
        for block in _blocks(wav, OUR_BLOCK_SAMPLES):
            detector.process(np.frombuffer(block, np.int16))

    return run


def _our_pack() -> str:
    """The shipped wake word, or where there is none the largest model that ships."""
    from edge_kws import Pack
    from edge_kws.resources import shipped_packs

    packs = [Pack.load(path) for path in shipped_packs().values()]
    return min(packs, key=lambda pack: (pack.info.task != "wake_word", -pack.info.macs_per_window)).info.name


CASES: dict[str, tuple[str, Callable[[Path], Callable[[], None]]]] = {
    "their_features": ("pymicro-features, features alone", _their_features),
    "our_features": ("edge_kws, features alone", _our_features),
    "their_1": ("pymicro-wakeword, 1 wake word", lambda wav: _their_models(wav, 1)),
    "our_1": ("edge_kws, 1 model", lambda wav: _our_models(wav, 1)),
    "their_4": ("pymicro-wakeword, 4 wake words", lambda wav: _their_models(wav, 4)),
    "our_4": ("edge_kws, 4 models", lambda wav: _our_models(wav, 4)),
}


def measure(case: str, wav: Path) -> dict[str, float]:
    """Runs one case in this process: CPU microseconds a second of audio, peak RSS in MB, seconds of CPU to load."""
    begun = time.process_time()
    run = CASES[case][1](wav)
    loaded = time.process_time()
    run()  # libraries that load on first use
    loaded, first = time.process_time(), loaded - begun
    run()
    return {
        "us_per_second": (time.process_time() - loaded) / SECONDS * 1e6,
        "peak_rss_mb": _peak_rss_mb(),
        "load_s": first,
    }


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", nargs=2, metavar=("NAME", "WAV"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case[0], Path(arguments.case[1]))))
        return
    runs: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        _write_speech(wav)
        for _ in range(arguments.rounds):
            for case in CASES:
                command = [sys.executable, __file__, "--case", case, str(wav)]
                runs[case].append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    best = {case: {key: min(run[key] for run in found) for key in found[0]} for case, found in runs.items()}
    rows: list[list[str]] = []
    for case, (name, _) in CASES.items():
        peer = best["their_" + case.split("_", 1)[1]]
        ratio = "1" if case.startswith("their") else f"{best[case]['us_per_second'] / peer['us_per_second']:.2f}"
        figures = best[case]
        rows.append([name, f"{figures['us_per_second']:,.0f}", ratio, f"{figures['peak_rss_mb']:.0f}", f"{figures['load_s']:.2f}"])
    from edge_kws import Pack

    pack = Pack.load(_our_pack())
    ours = f"{pack.info.macs_per_window:,} MACs a window, a step every {pack.inference_stride_hops} hops"
    notes = [
        f"edge_kws runs {pack.info.name} {pack.info.version} ({ours}); 4 models are that one under four names.",
        f"{package('pymicro-wakeword')} runs {', '.join(MODELS)}.",
        "Read as ratios: the machine is shared.",
    ]
    headers = ("one thread, WAV to events", "CPU us/s of audio", "ratio", "peak RSS MB", "load CPU s")
    publish("host_cost", "Host cost", headers, rows, notes, {"pack": pack.info.name, "best": best, "rounds": arguments.rounds})


if __name__ == "__main__":
    main()
