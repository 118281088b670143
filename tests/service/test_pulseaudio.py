"""A real capture device without hardware: PulseAudio's null sink, PortAudio and ALSA between it and `Microphone`.

PortAudio finds its sound server through the environment of the process, so each recording runs in a process of its own.
"""

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

from tests.golden.loudness_pack import loudness_pack
from tests.service.pulse import pactl, private_environment, start_server

PLAYED_S = 3.0

RECORD = """
import sys
import numpy as np
from edge_kws.audio import Microphone
from edge_kws.errors import AudioError
from edge_kws.events import Gap

seconds, device = float(sys.argv[2]), (sys.argv[3] if len(sys.argv) > 3 else "pulse")
blocks, position, gaps = [], 0, 0
try:
    with Microphone(device) as microphone:
        print("open", microphone.description, flush=True)
        for block in microphone.blocks():
            if isinstance(block, Gap):
                print("gap", block, flush=True)
                assert block.start == position
                blocks.append(np.zeros(block.end - block.start, np.int16))
            else:
                if not blocks:
                    print("first block", flush=True)
                blocks.append(block)
            position += len(blocks[-1])
            if position >= seconds * 16000:
                break
        np.testing.assert_array_equal(microphone.ring.span(position - 8000, position), np.concatenate(blocks)[-8000:])  # pre-roll
        print("lost", microphone.overruns, microphone.laps, microphone.lost_samples)
except AudioError as error:
    print("error", error)
np.save(sys.argv[1], np.concatenate(blocks) if blocks else np.zeros(0, np.int16))
"""


RECONNECT = """
import sys
import numpy as np
import sounddevice
from edge_kws import Detector, Microphone
from edge_kws.audio import list_devices
from edge_kws.errors import AudioError

def step(word):
    print(word, flush=True)
    sys.stdin.readline()

def heard():
    try:
        for event in detector.listen(Microphone("pulse")):
            print("event", event.end, flush=True)
    except AudioError as error:
        print("error", detector.failed_sources, detector.position, error, flush=True)

names = lambda: [device.name for device in list_devices()]
detector = Detector.from_pack(sys.argv[1])
print("at first", names(), flush=True)
step("plug in")
print("plugged in", names(), flush=True)
heard()
step("plug in again")
print("once more", names(), flush=True)
with Microphone("pulse"):
    print("open stream", sounddevice._initialized, names(), flush=True)
heard()
"""


@pytest.fixture
def pulse_server(tmp_path):
    """A private sound server with one null sink, `speaker`: its process and the environment its clients need."""
    environment = private_environment(tmp_path)
    server = start_server(environment)
    try:
        yield server, environment
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def pulse(pulse_server):
    """The environment in which programs reach the private sound server."""
    return pulse_server[1]


@pytest.fixture
def speech(tmp_path):
    """Three seconds of noise with the slow ups and downs of speech: unmistakable under cross-correlation."""
    rng = np.random.default_rng(7)
    envelope = np.interp(np.arange(PLAYED_S * 16_000), np.arange(0, PLAYED_S * 16_000 + 1, 1600), rng.random(31))
    pcm = (6000 * envelope * np.convolve(rng.standard_normal(len(envelope)), np.ones(4) / 2, "same")).astype(np.int16)
    soundfile.write(tmp_path / "speech.wav", pcm, 16_000)
    return tmp_path / "speech.wav", pcm.astype(np.float64)


def find(wanted, recorded):
    """Cross-correlation: where `wanted` starts in `recorded`, to an eighth of a sample, and how alike they are there (1: the same)."""
    size = 1 << int(np.ceil(np.log2(len(recorded) + len(wanted))))
    spectrum = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(wanted, size))
    correlation = 8 * np.fft.irfft(spectrum, 8 * size)[: 8 * (len(recorded) - len(wanted))]
    at = int(np.argmax(correlation))
    part = recorded[at // 8 : at // 8 + len(wanted)]
    return at / 8, correlation[at] / np.linalg.norm(part) / np.linalg.norm(wanted)


class Recorder:
    """A process that records, and what it has said so far."""

    def __init__(self, environment, arguments, stderr=subprocess.DEVNULL):
        self.process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        # No test may hang on a device: whatever happens, the process ends and its output with it.
        self.guard = threading.Timer(60, self.process.kill)
        self.guard.start()

    def wait_for(self, word):
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if word in line:
                return line
        raise AssertionError(f"never said {word!r}: {lines}")

    def go_on(self):
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self):
        assert self.process.stdout is not None
        rest = self.process.stdout.read()
        status = self.process.wait()
        self.guard.cancel()
        return rest, status


def record(environment, path, seconds, device="pulse"):
    return Recorder(environment, ["-c", RECORD, str(path), str(seconds), device])


def test_what_is_played_is_what_is_recorded(pulse, speech, tmp_path):
    path, played = speech
    recorder = record(pulse, tmp_path / "recorded.npy", PLAYED_S + 3)
    assert "pulse (ALSA): 16000 Hz, 1 channel" in recorder.wait_for("open")
    recorder.wait_for("first block")
    subprocess.run(["paplay", "--device=speaker", str(path)], env=pulse, check=True)
    rest, status = recorder.finish()
    assert status == 0
    assert "error" not in rest
    assert "lost 0 0 0" in rest
    recorded = np.load(tmp_path / "recorded.npy").astype(np.float64)
    half_second = 8000
    found = [find(played[start : start + half_second], recorded) for start in range(0, len(played), half_second)]
    delays = [at - start for (at, _), start in zip(found, range(0, len(played), half_second), strict=True)]
    assert np.ptp(delays) < 0.5, "nothing lost, doubled or out of order"
    assert min(likeness for _, likeness in found) > 0.95  # the sink runs at 44.1 kHz in between, and cuts the first milliseconds


def test_a_microphone_that_is_unplugged_is_reported(pulse, tmp_path):
    recorder = record(pulse, tmp_path / "recorded.npy", 1000)
    recorder.wait_for("first block")
    pactl(pulse, "unload-module", "module-null-sink")
    said = recorder.wait_for("error")
    assert "microphone 'pulse'" in said
    assert "edge-kws devices" in said
    assert recorder.finish()[1] == 0, "the process ends: closing a device that is gone must not hang"
    assert len(np.load(tmp_path / "recorded.npy")) > 0, "what was captured before was delivered"


def test_a_microphone_that_falls_silent_is_reported(pulse_server, tmp_path):
    """The server stops without a word: no error from any layer, only no more samples."""
    server, environment = pulse_server
    recorder = record(environment, tmp_path / "recorded.npy", 1000)
    recorder.wait_for("first block")
    server.send_signal(signal.SIGSTOP)
    try:
        assert "delivered nothing for 2 s" in recorder.wait_for("error")
        assert recorder.finish()[1] == 0, "the process ends although the device cannot be closed"
    finally:
        server.send_signal(signal.SIGCONT)


def test_a_stopped_and_continued_program_goes_on(pulse, tmp_path):
    """Ctrl-Z and `fg`: the clock has jumped, the device is well."""
    recorder = record(pulse, tmp_path / "recorded.npy", 5)
    recorder.wait_for("first block")
    recorder.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    recorder.process.send_signal(signal.SIGCONT)
    rest, status = recorder.finish()
    assert status == 0
    assert "error" not in rest


def test_an_unknown_name_and_a_dead_server(pulse, tmp_path):
    assert "fits no input device" in record(pulse, tmp_path / "x.npy", 1, "no such device").wait_for("error")
    assert "input device 99 does not exist" in record(pulse, tmp_path / "x.npy", 1, "99").wait_for("error")
    pactl(pulse, "exit")
    assert "error" in record(pulse, tmp_path / "x.npy", 1).wait_for("error")


def test_a_device_that_cannot_be_opened_gives_one_line(pulse, tmp_path):
    """PortAudio and ALSA write five of their own to standard error."""
    loudness_pack().write(tmp_path / "loudness.tflite")
    command = [sys.executable, "-m", "edge_kws.cli.main", "listen", "--model", str(tmp_path / "loudness.tflite"), "--device", "pulse"]
    environment = {**pulse, "PULSE_SOURCE": "no such source"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-kws: error: microphone 'pulse' cannot be opened")


def test_listen_detects_what_is_played_and_reports_the_unplugging(pulse, tmp_path):
    """The whole device flow: capture, ring buffer, front end, model, decoder, JSON."""
    loudness_pack().write(tmp_path / "loudness.tflite")
    burst = np.concatenate([np.zeros(24_000), np.random.default_rng(0).integers(-6000, 6000, 8000)])
    soundfile.write(tmp_path / "bursts.wav", np.tile(burst.astype(np.int16), 30), 16_000)  # long enough for a slow start
    arguments = ["listen", "--model", str(tmp_path / "loudness.tflite"), "--device", "PULSE", "--jsonl"]
    recorder = Recorder(pulse, ["-m", "edge_kws.cli.main", *arguments], stderr=subprocess.PIPE)
    player = subprocess.Popen(["paplay", "--device=speaker", str(tmp_path / "bursts.wav")], env=pulse, stderr=subprocess.DEVNULL)
    event = json.loads(recorder.wait_for("event"))
    assert (event["model"], event["label"]) == ("loudness", "loud")
    pactl(pulse, "unload-module", "module-null-sink")
    rest, status = recorder.finish()
    player.kill()
    player.wait()
    assert status == 2
    assert all(json.loads(line)["type"] in ("event", "gap") for line in rest.splitlines())
    assert recorder.process.stderr is not None
    *_, summary, error = recorder.process.stderr.read().splitlines()
    assert "s of audio, " in summary
    assert error.startswith("edge-kws: error: microphone 'pulse': ")


def test_devices_lists_it(pulse):
    done = subprocess.run([sys.executable, "-m", "edge_kws.cli.main", "devices"], env=pulse, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "pulse" in done.stdout
    assert "ALSA" in done.stdout
    assert "default" in done.stdout


def test_a_microphone_plugged_in_later_is_found_and_one_that_returns_is_heard_again(tmp_path):
    """In one process: no device, a device, gone, there again; the positions of events go on."""
    environment = private_environment(tmp_path)
    loudness_pack().write(tmp_path / "loudness.tflite")
    burst = np.concatenate([np.zeros(24_000), np.random.default_rng(0).integers(-6000, 6000, 8000)])
    soundfile.write(tmp_path / "bursts.wav", np.tile(burst.astype(np.int16), 30), 16_000)
    recorder = Recorder(environment, ["-c", RECONNECT, str(tmp_path / "loudness.tflite")])
    assert "pulse" not in recorder.wait_for("at first")
    ends = []
    for failures, question in enumerate(("plug in", "plug in again"), start=1):
        recorder.wait_for(question)
        server = start_server(environment)
        player = subprocess.Popen(["paplay", "--device=speaker", str(tmp_path / "bursts.wav")], env=environment, stderr=subprocess.DEVNULL)
        try:
            recorder.go_on()
            assert "'pulse'" in recorder.wait_for("plugged in" if failures == 1 else "once more")
            if failures == 2:
                assert "'pulse'" in recorder.wait_for("open stream"), "looking does not end the recording"
            ends.append(int(recorder.wait_for("event").split()[1]))
        finally:
            server.terminate()
            server.wait(timeout=20)
            player.kill()
            player.wait()
        _, count, position, error = recorder.wait_for("error").split(maxsplit=3)
        assert int(count) == failures
        assert int(position) >= ends[-1]
        assert error.startswith("microphone 'pulse': ")
    assert ends[1] > int(ends[0])
    assert recorder.finish()[1] == 0
