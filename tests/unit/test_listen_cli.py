"""`edge-kws listen` and `edge-kws devices` as a person or a program runs them."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
import soundfile

from tests.golden.loudness_pack import loudness_pack

LISTEN = [sys.executable, "-m", "edge_kws.cli.main", "listen"]
BURSTS_S = (1.0, 2.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pack that fires on loud sounds, a second one of another name, and recordings of two bursts of noise."""
    path = tmp_path_factory.mktemp("listen")
    loudness_pack().write(path / "loudness.tflite")
    loudness_pack("second").write(path / "second.tflite")
    pcm = np.zeros(4 * 16_000, np.int16)
    for start_s in BURSTS_S:
        start = round(start_s * 16_000)
        pcm[start : start + 8000] = np.random.default_rng(0).integers(-6000, 6000, 8000)
    soundfile.write(path / "bursts.wav", pcm, 16_000)
    soundfile.write(path / "bursts.flac", np.repeat(np.repeat(pcm, 3)[:, None], 2, axis=1), 48_000)
    pcm.tofile(path / "bursts.raw")
    content = (path / "bursts.wav").read_bytes()
    (path / "cut.wav").write_bytes(content[: len(content) // 2])
    return path


def run(folder, *arguments, **options):
    return subprocess.run([*LISTEN, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options)


def check_times(times_s):
    assert len(times_s) == len(BURSTS_S)
    for time_s, start_s in zip(times_s, BURSTS_S, strict=True):
        assert start_s < time_s < start_s + 0.4


def test_plain_lines(folder):
    done = run(folder, "--model", "loudness.tflite", "--input", "bursts.wav")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line in lines:
        assert re.fullmatch(r" +\d+\.\d\d s  loudness  loud +\d\.\d\d", line)
    check_times([float(line.split()[0]) for line in lines])
    assert done.stderr.strip() == "4.00 s of audio, 2 events, 0 gaps"


def test_jsonl_of_two_models_and_nothing_else_on_stdout(folder):
    done = run(folder, "--model", "loudness.tflite", "--model", "second.tflite", "--input", "bursts.flac", "--jsonl")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for name in ("loudness", "second"):
        check_times([event["time_s"] for event in events if event["model"] == name])
    assert all(event["type"] == "event" and event["end"] / 16_000 == event["time_s"] for event in events)
    assert "48000 Hz, 2 channels, FLAC" in done.stderr
    assert "4 events, 0 gaps" in done.stderr


def test_raw_pcm_on_stdin_gives_what_the_file_gives(folder):
    with (folder / "bursts.raw").open("rb") as raw:
        piped = run(folder, "--model", "loudness.tflite", "--input", "-", "--jsonl", stdin=raw)
    from_file = run(folder, "--model", "loudness.tflite", "--input", "bursts.wav", "--jsonl")
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == from_file.stdout


def test_realtime_gives_the_same_events(folder):
    done = run(folder, "--model", "loudness.tflite", "--input", "bursts.wav", "--realtime", "--jsonl")
    assert done.stdout == run(folder, "--model", "loudness.tflite", "--input", "bursts.wav", "--jsonl").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "missing.wav"], ["missing.wav", "No such file"]),
        (["--input", "cut.wav"], ["cut.wav", "truncated", "128000 bytes"]),
        (["--input", "loudness.tflite"], ["loudness.tflite", "not an audio file"]),
        (["--input", "bursts.wav", "--device", "pulse"], ["--device", "--input", "leave one out"]),
        (["--realtime"], ["--realtime", "--input"]),
        (["--input", "bursts.wav", "--model", "loudness.tflite"], ["different names"]),
        (["--input", "bursts.wav", "--model", "bursts.wav"], ["bursts.wav"]),
        (["--device", "no such microphone"], ["edge-kws devices"]),
    ],
)
def test_errors_are_one_line(folder, arguments, words):
    done = run(folder, "--model", "loudness.tflite", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-kws: error: ")
    for word in words:
        assert word in line


def test_broken_audio_is_reported_after_its_events(folder):
    with (folder / "bursts.raw").open("rb") as raw:
        data = raw.read() + b"x"
    done = subprocess.run(
        [*LISTEN, "--model", "loudness.tflite", "--input", "-"], cwd=folder, input=data, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2
    summary, error = done.stderr.decode().splitlines()
    assert summary == "4.00 s of audio, 2 events, 0 gaps, 1 source failed"
    assert "inside sample 64000" in error


def test_closed_stdout_ends_quietly(folder):
    """As in `| head -1`: the reader is gone before the first event."""
    receiver, sender = os.pipe()
    os.close(receiver)
    done = subprocess.run(
        [*LISTEN, "--model", "loudness.tflite", "--input", "bursts.wav", "--jsonl"],
        cwd=folder, stdout=sender, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    os.close(sender)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("listening")] == []


def test_listening_never_imports_tensorflow(folder):
    code = (
        "import sys; from edge_kws.cli.main import main\n"
        "status = main(['listen', '--model', 'loudness.tflite', '--input', 'bursts.wav'])\n"
        "sys.exit(status or any(name.split('.')[0] in ('tensorflow', 'keras', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, timeout=120, check=False).returncode == 0


def read_terminal(leader, until, timeout_s=60.0):
    """Everything shown until `until` appears, or until the other side closes."""
    shown, deadline = b"", time.monotonic() + timeout_s
    while until not in shown and time.monotonic() < deadline:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                shown += os.read(leader, 65_536)
            except OSError:  # the terminal has no other side any more
                break
    return shown


@pytest.mark.parametrize("moment", [b"dBFS", b"1 event"], ids=["during the first drawing", "after an event"])
def test_ctrl_c_in_a_terminal_leaves_it_as_it_was(folder, moment):
    leader, follower = pty.openpty()
    termios.tcsetwinsize(leader, (30, 100))
    before = termios.tcgetattr(follower)
    process = subprocess.Popen(
        [*LISTEN, "--model", "loudness.tflite", "--input", "bursts.wav", "--realtime"],
        cwd=folder, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"},
    )  # fmt: skip
    shown = read_terminal(leader, moment)
    process.send_signal(signal.SIGINT)
    shown += read_terminal(leader, b" of audio")
    assert process.wait(timeout=60) == 130
    assert termios.tcgetattr(follower) == before
    for text in ("listening", "dBFS", "loudness", "s of audio, "):
        assert text in shown.decode(), shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor is shown again"
    assert b"Traceback" not in shown
    os.close(follower)
    os.close(leader)


def test_what_a_c_library_says_meanwhile_does_not_tear_the_live_view(folder):
    """It is printed when the panel has gone; PortAudio's own account of a failed call is not."""
    code = """
import os, time
from edge_kws.sinks.console import ConsoleSink, ModelView
with ConsoleSink([ModelView("m", ("yes",), (0.5,))], "a device"):
    os.write(2, b"Expression 'snd_pcm()' failed in 'pa.c', line: 1\\nsomething else\\n")
    time.sleep(0.5)
print("left")
"""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(leader, (30, 100))
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=follower, stdout=follower, stderr=follower, env=environment)
    shown = read_terminal(leader, b"left")
    assert process.wait(timeout=60) == 0
    assert b"Expression" not in shown
    assert shown.index(b"something else") > shown.rindex(b"\x1b[?25h"), "after the panel"
    os.close(follower)
    os.close(leader)


def test_devices_answers_on_any_machine():
    done = subprocess.run([sys.executable, "-m", "edge_kws.cli.main", "devices"], capture_output=True, text=True, timeout=120, check=False)
    if "libportaudio2" in done.stderr:
        assert done.returncode == 2
        pytest.skip("PortAudio is not installed: the error said so")
    assert done.returncode == 0
    assert "native rate" in done.stdout or "PortAudio lists none" in done.stdout
