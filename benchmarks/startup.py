"""What starting costs: modules loaded and time of each command, as a ratio to a Python that does nothing, measured in turn."""

import argparse
import json
import subprocess
import sys
import time

from _results import publish

HEAVY = ("numpy", "pydantic", "rich", "soundfile", "sounddevice", "ai_edge_litert", "matplotlib", "keras", "tensorflow")
_CLI = "import sys; from edge_kws.cli.main import main; main({arguments})"
CASES = {
    "python, nothing": "pass",
    "import edge_kws": "import edge_kws",
    "from edge_kws import Detector": "from edge_kws import Detector",
    "edge-kws --help": _CLI.format(arguments=["--help"]),
    "edge-kws listen --help": _CLI.format(arguments=["listen", "--help"]),
    "edge-kws models": _CLI.format(arguments=["models"]),
    "import pymicro_wakeword": "import pymicro_wakeword",
}
_TELL = "\nimport json, sys; print('\\n' + json.dumps([len(sys.modules), [name for name in {heavy!r} if name in sys.modules]]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, code in CASES.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - begun)
    best = {name: min(times) for name, times in seconds.items()}
    bare = best["python, nothing"]
    rows: list[list[str]] = []
    figures: list[dict[str, object]] = []
    for name, code in CASES.items():
        told = subprocess.run([sys.executable, "-c", code + _TELL.format(heavy=HEAVY)], check=True, capture_output=True, text=True)
        modules, heavy = json.loads(told.stdout.splitlines()[-1])
        rows.append([name, f"{best[name]:.3f}", f"{best[name] / bare:.1f}", str(modules), " ".join(heavy) or "-"])
        figures.append({"case": name, "seconds": best[name], "ratio": best[name] / bare, "modules": modules, "heavy": heavy})
    headers = ("start of", "seconds", "ratio", "modules", "heavy ones among them")
    publish("startup", "Start", headers, rows, [f"The fastest of {rounds} rounds."], figures)


if __name__ == "__main__":
    main()
