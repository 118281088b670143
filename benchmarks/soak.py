"""Hours of audio through the whole daemon, many times faster than it sounds: memory, losses, and what is left on disk.

make soak [ARGS="--hours 24"]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
from _results import ROOT, publish

CONFIG = """
state_folder = "{folder}/state"
[[inputs]]
name = "pipe"
source = "stdin"
packs = [{{ pack = "marvin" }}, {{ pack = "commands" }}]
[[sinks]]
kind = "jsonl"
path = "{folder}/events.jsonl"
max_bytes = 200000
[[sinks]]
kind = "webhook"
url = "http://127.0.0.1:9/"
queue = 100
[[sinks]]
kind = "command"
command = ["true"]
packs = ["marvin"]
before_s = 1
after_s = 1
[[sinks]]
kind = "mqtt"
host = "127.0.0.1"
port = 9
[retention]
clips = true
budget_mb = 5
events = 2000
[page]
enabled = false
"""
DOCUMENT = ROOT / "docs" / "reliability.md"
SAMPLES_PER_HOUR = 3600 * 16_000
SETTLED = 0.25  # caches and rings are full after a quarter of the run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="hours of audio")
    hours: float = parser.parse_args().hours
    with tempfile.TemporaryDirectory(prefix="edge_kws_soak_") as name:
        figures = soak(Path(name), hours)
    rows = [[key.replace("_", " "), f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"] for key, value in figures.items()]
    notes = [
        "Demo speech and noise in turn, two packs, clips kept (5 MB), a command for each wake word,",
        "a webhook and an MQTT broker that are not there.",
        f"Growth: median resident memory of the last quarter less that of the second, of {hours:g} h.",
    ]
    publish("soak", "Soak of the daemon", ("figure", "value"), rows, notes, figures)
    write_into_docs(rows, notes)
    if figures["rss_growth_mb"] > 2 or figures["samples_missing"]:
        sys.exit("soak: memory grew by more than 2 MB, or samples went missing")


def write_into_docs(rows: list[list[str]], notes: list[str]) -> None:
    """The same table as Markdown, between the marks in docs/reliability.md."""
    begin, end = "<!-- soak: written by benchmarks/soak.py -->\n", "<!-- end of soak -->"
    head, rest = DOCUMENT.read_text().split(begin)
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    text = f"`make soak`. {' '.join(notes)}\n\n| figure | value |\n|---|---|\n{table}"
    DOCUMENT.write_text(f"{head}{begin}{text}{end}{rest.split(end)[1]}")


def soak(folder: Path, hours: float) -> dict[str, float | int]:
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder))
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # as in the unit
    command = [sys.executable, "-m", "edge_kws.service", str(config)]
    daemon = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
    samples = round(hours * SAMPLES_PER_HOUR)
    began, rss, done = time.monotonic(), list[tuple[float, float]](), threading.Event()
    watcher = threading.Thread(target=watch, args=(daemon.pid, rss, done))
    watcher.start()
    feed(daemon, samples)
    wall, cpu = time.monotonic() - began, cpu_seconds(daemon.pid)
    done.set()
    watcher.join()
    assert daemon.stdin
    daemon.stdin.close()
    status = daemon.wait(120)
    if status:
        sys.exit(f"soak: the daemon ended with status {status}")
    speed = {"times_real_time": samples / 16_000 / wall, "cpu_seconds_per_audio_hour": cpu / hours}
    return {"audio_hours": hours, **speed, **memory(rss, wall), **left_over(folder, samples)}


def feed(daemon: "subprocess.Popen[bytes]", samples: int) -> None:
    """Demo speech, then as much noise, for ever: as fast as the daemon takes it."""
    speech = soundfile.read(ROOT / "examples" / "demo.flac", dtype="int16")[0]
    noise = np.random.default_rng(0).normal(0, 300, len(speech)).astype(np.int16)
    loop = np.concatenate([speech, noise])
    assert daemon.stdin
    written = 0
    while written < samples:
        block = loop[: samples - written]
        daemon.stdin.write(block.astype("<i2").tobytes())
        written += len(block)
    daemon.stdin.flush()


def watch(pid: int, rss: list[tuple[float, float]], done: threading.Event) -> None:
    began = time.monotonic()
    while not done.wait(1.0):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        rss.append((time.monotonic() - began, pages * os.sysconf("SC_PAGE_SIZE") / 1e6))


def cpu_seconds(pid: int) -> float:
    """Processor time of the daemon so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(rss: list[tuple[float, float]], wall: float) -> dict[str, float]:
    def part(first: float, last: float) -> float:
        return float(np.median([value for when, value in rss if first * wall <= when < last * wall] or [np.nan]))

    second, last = part(SETTLED, 2 * SETTLED), part(1 - SETTLED, 1.01)
    return {
        "rss_second_quarter_mb": second,
        "rss_last_quarter_mb": last,
        "rss_peak_mb": max(v for _, v in rss),
        "rss_growth_mb": last - second,
    }


def left_over(folder: Path, samples: int) -> dict[str, int]:
    """What is on disk, and whether positions account for every sample."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    heard = [event for event in events if event["type"] == "event"]
    lost = sum(event["end"] - event["start"] for event in events if event["type"] == "gap")
    state = folder / "state"
    return {
        "seconds_before_the_end_of_the_last_event": round((samples - heard[-1]["end"]) / 16_000),
        "samples_missing": lost,
        "clip_bytes": sum(file.stat().st_size for file in (state / "clips").iterdir()),
        "database_bytes": sum(file.stat().st_size for file in state.glob("edge_kws.sqlite3*")),
        "jsonl_bytes": sum(file.stat().st_size for file in folder.glob("events.jsonl*")),
    }


if __name__ == "__main__":
    main()
