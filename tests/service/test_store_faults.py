"""The daemon is killed at random points, and its disk runs full."""

import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.golden.loudness_pack import loudness_pack
from tests.service.daemon import Daemon

pytestmark = pytest.mark.slow
SPEED = 10  # times real time


def config(folder, state, retention=""):
    loudness_pack().write(folder / "loudness.tflite")
    return f"""
state_folder = "{state}"
[[inputs]]
name = "pipe"
source = "stdin"
packs = [{{pack = "{folder / "loudness.tflite"}", unsigned = true}}]
[[sinks]]
kind = "jsonl"
[retention]
clips = true
before_s = 0.5
after_s = 0.2
{retention}
[page]
enabled = false
"""


def feed(daemon):
    """Bursts for ever, ten times as fast as they would sound: about ten events a second."""
    rng = np.random.default_rng(0)
    pcm = np.concatenate([rng.integers(-30, 30, 8000), rng.integers(-6000, 6000, 8000)]).astype("<i2").tobytes()

    def write():
        try:
            while True:
                daemon.process.stdin.buffer.write(pcm)
                daemon.process.stdin.buffer.flush()
                time.sleep(1 / SPEED)
        except (OSError, ValueError):
            return  # the daemon has gone

    threading.Thread(target=write, daemon=True).start()


def test_killed_at_random_points_it_loses_no_more_than_the_last_second(tmp_path):
    """As a power cut would, except that what was written reaches the disk; FULL synchronisation is what covers the rest."""
    (tmp_path / "home").mkdir()
    state, rng = tmp_path / "state", np.random.default_rng(2)
    seen = {}
    for _ in range(8):
        daemon = Daemon(tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}, config(tmp_path, state, "budget_mb = 1"))
        feed(daemon)
        seen[daemon.wait_for(type="event")["id"]] = time.monotonic()
        end = time.monotonic() + rng.uniform(0.2, 2.5)
        while time.monotonic() < end:
            seen[daemon.wait_for(type="event")["id"]] = time.monotonic()
        killed = time.monotonic()
        daemon.process.kill()
        daemon.stop()
        seen = {event: when for event, when in seen.items() if when < killed - 1.0}
        with closing(sqlite3.connect(state / "edge_kws.sqlite3")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept = {row[0] for row in database.execute("SELECT id FROM events")}
        assert seen.keys() <= kept
    assert len(seen) > 30
    daemon = Daemon(tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}, config(tmp_path, state, "budget_mb = 1"))
    feed(daemon)
    daemon.wait_for(type="event")
    assert daemon.stop() == 0
    clips = list((state / "clips").iterdir())
    assert {clip.suffix for clip in clips} == {".wav"}, "what was half written is gone"
    assert 0 < sum(clip.stat().st_size for clip in clips) <= 1e6
    for clip in clips:
        assert soundfile.info(clip).frames > 0


def test_a_full_disk_costs_clips_before_events_and_never_the_ears(tmp_path):
    (tmp_path / "home").mkdir()
    mounted = tmp_path / "disk"
    mounted.mkdir()
    inside = ["unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=4m tmpfs {mounted} && exec "$0" "$@"']
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk of our own")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    daemon = Daemon(tmp_path, environment, config(tmp_path, mounted / "state", "budget_mb = 100"), before=inside)
    feed(daemon)
    daemon.wait_for(type="event")
    disk = Path(f"/proc/{daemon.process.pid}/root{mounted}")
    for _ in range(250):  # 22 KB each: more than the disk holds
        daemon.wait_for(type="event")
    assert daemon.log_has("store") is False, "the oldest clips made room, and nothing failed"
    clips = len(list((disk / "state" / "clips").iterdir()))
    assert 20 < clips < 200
    hog = threading.Event()
    threading.Thread(target=fill, args=(disk / "hog", hog), daemon=True).start()
    failed = daemon.wait_for(type="notice", subject="store")
    assert "full" in failed["detail"] or "space" in failed["detail"]
    during = [daemon.wait_for(type="event")["id"] for _ in range(20)]  # hearing goes on
    hog.set()
    assert daemon.wait_for(type="notice", subject="store")["detail"] == "works again"
    last = daemon.wait_for(type="event")["id"]
    assert {*during, last} <= kept_events(disk / "state", tmp_path / "copy", last), "events waited in memory"
    assert daemon.stop() == 0


def test_a_disk_that_is_full_at_boot_does_not_keep_it_from_hearing(tmp_path):
    (tmp_path / "home").mkdir()
    mounted = tmp_path / "disk"
    mounted.mkdir()
    full = f'mount -t tmpfs -o size=4m tmpfs {mounted} && {{ cat /dev/zero > {mounted}/hog; exec "$0" "$@"; }}'
    inside = ["unshare", "-Urm", "sh", "-c", full]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk of our own")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    daemon = Daemon(tmp_path, environment, config(tmp_path, mounted / "state"), before=inside)
    feed(daemon)
    assert "expected a disk with room" in daemon.wait_for(type="notice", subject="store")["detail"]
    first = daemon.wait_for(type="event")["id"]
    disk = Path(f"/proc/{daemon.process.pid}/root{mounted}")
    (disk / "hog").unlink()
    assert daemon.wait_for(type="notice", subject="store")["detail"] == "works again"
    last = daemon.wait_for(type="event")["id"]
    assert {first, last} <= kept_events(disk / "state", tmp_path / "copy", last)
    assert daemon.stop() == 0


def fill(path, done):
    """Takes every byte that becomes free, until told otherwise."""
    with path.open("wb", buffering=0) as hog:
        while not done.is_set():
            try:
                hog.write(bytes(4096))
            except OSError:
                time.sleep(0.05)
        path.unlink()


def kept_events(state, copy, wanted):
    """Ids in the database, as soon as `wanted` is one of them. SQLite does not open files in another mount namespace: copies."""
    kept = set()
    copy.mkdir()
    for _ in range(100):
        for file in state.glob("edge_kws.sqlite3*"):
            shutil.copy(file, copy)
        (copy / "edge_kws.sqlite3-shm").unlink(missing_ok=True)
        with closing(sqlite3.connect(copy / "edge_kws.sqlite3")) as database:
            kept = {row[0] for row in database.execute("SELECT id FROM events")}
        if wanted in kept:
            break
        time.sleep(0.2)
    return kept
