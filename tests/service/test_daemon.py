"""The daemon in a process of its own on a real sound server, while the world around it fails."""

import signal
import subprocess

import numpy as np
import pytest
import soundfile

from tests.golden.loudness_pack import loudness_pack
from tests.service.daemon import Daemon
from tests.service.pulse import pactl, private_environment, start_server

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    """A private home and runtime folder, and a pack and a sound to play in it."""
    loudness_pack().write(tmp_path / "loudness.tflite")
    burst = np.concatenate([np.random.default_rng(1).integers(-30, 30, 24_000), np.random.default_rng(0).integers(-6000, 6000, 8000)])
    soundfile.write(tmp_path / "bursts.wav", np.tile(burst.astype(np.int16), 100), 16_000)
    return tmp_path, private_environment(tmp_path)


class World:
    """Starts daemons, players and sound servers, and ends what it started."""

    def __init__(self, folder, environment):
        self._folder, self._environment = folder, environment
        self.ends = []

    def __call__(self, config, **arguments):
        daemon = Daemon(self._folder, self._environment, config, **arguments)
        self.ends.append(daemon.stop)
        return daemon

    def play(self):
        command = ["paplay", "--device=speaker", str(self._folder / "bursts.wav")]
        player = subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)
        self.ends += [player.kill, player.wait]

    def server(self):
        server = start_server(self._environment)
        self.ends.append(server.kill)
        return server


@pytest.fixture
def run(home):
    world = World(*home)
    yield world
    for end in world.ends:
        end()


def config(folder, *, device="pulse", silence_s=60, extra=""):
    return f"""
state_folder = "{folder / "state"}"
[[inputs]]
name = "kitchen"
device = "{device}"
silence_s = {silence_s}
packs = [{{pack = "{folder / "loudness.tflite"}", unsigned = true}}]
[[sinks]]
kind = "jsonl"
[page]
enabled = false
{extra}
"""


def test_boot_before_sound_then_gone_then_back(run, home):
    """The usual life of a microphone: not there at boot, plugged in, unplugged, plugged in again."""
    folder, environment = home
    daemon = run(config(folder))
    away = daemon.wait_for(type="status", status="away")
    assert away["detail"]
    server = run.server()
    daemon.wait_for(type="status", status="listening")
    assert not any("WATCHDOG" in line for line in daemon.wait_for_notice("READY=1")), "not ready, let alone fed, before audio flows"
    run.play()
    first = daemon.wait_for(type="event", label="loud")
    pactl(environment, "unload-module", "module-null-sink")
    assert "pulse" in daemon.wait_for(type="status", status="away")["detail"]
    pactl(environment, "load-module", "module-null-sink", "sink_name=speaker")
    gap = daemon.wait_for(type="gap")
    assert gap["reason"] == "the source was away"
    daemon.wait_for(type="status", status="listening")
    run.play()
    second = daemon.wait_for(type="event", label="loud")
    assert second["start"] >= gap["end"] > gap["start"] > first["start"]
    assert second["id"] > first["id"]
    server.terminate()
    server.wait(20)
    daemon.wait_for(type="status", status="away")
    run.server()
    daemon.wait_for(type="status", status="listening")
    run.play()
    daemon.wait_for(type="event", label="loud")
    assert daemon.stop() == 0
    assert not [line for line in daemon.log if "Traceback" in line]
    assert any("input kitchen: away: " in line for line in daemon.log), "the journal says it"


def test_a_server_that_hangs_and_goes_on(run, home):
    """No error from any layer, only no more samples. The watchdog is not fed meanwhile."""
    folder, _ = home
    server = run.server()
    daemon = run(config(folder))
    daemon.wait_for(type="status", status="listening")
    daemon.wait_for_notice("WATCHDOG=1")
    server.send_signal(signal.SIGSTOP)
    try:
        assert "delivered nothing" in daemon.wait_for(type="status", status="away")["detail"]
        daemon.drain()
        daemon.wait_for(type="status", status="away")  # and it goes on trying
        assert not any("WATCHDOG" in line for line in daemon.drain())
    finally:
        server.send_signal(signal.SIGCONT)
    daemon.wait_for(type="status", status="listening")
    daemon.wait_for_notice("WATCHDOG=1")
    run.play()
    daemon.wait_for(type="event", label="loud")
    assert daemon.stop() == 0


def test_digital_silence_and_its_end(run, home):
    """Nothing plays into the sink: samples arrive, all of them zero, as from a muted microphone."""
    folder, _ = home
    run.server()
    daemon = run(config(folder, silence_s=2))
    assert "digital silence" in daemon.wait_for(type="status", status="silent")["detail"]
    daemon.wait_for(type="gap")  # opened again
    run.play()
    daemon.wait_for(type="status", status="listening")
    daemon.wait_for(type="event", label="loud")
    assert daemon.stop() == 0


def test_a_good_edit_is_taken_and_a_bad_one_changes_nothing(run, home):
    folder, _ = home
    run.server()
    daemon = run(config(folder))
    daemon.wait_for(type="status", status="listening")
    run.play()
    daemon.wait_for(type="event")
    for bad in (
        "inputs = [",
        config(folder).replace("unsigned = true", "unsigned = false"),
        config(folder, device="no such").replace("kitchen", "?"),
    ):
        daemon.hup(bad)
        notice = daemon.wait_for(type="notice", subject="config")
        assert notice["detail"].startswith("reload refused, the old config stays: ")
        daemon.wait_for(type="event", input="kitchen")
    daemon.hup(config(folder).replace("kitchen", "attic"))
    assert daemon.wait_for(type="notice", subject="config")["detail"] == "reloaded"
    daemon.wait_for(type="event", input="attic")
    daemon.hup(config(folder).replace("kitchen", "attic") + "[retention]\nclips = true\n")
    assert daemon.wait_for(type="notice", subject="config")["detail"] == "reloaded"
    before = daemon.wait_for(type="event", input="attic")
    after = daemon.wait_for(type="event", input="attic")
    assert after["start"] > before["start"], "an input that did not change goes on as if nothing had happened"
    assert daemon.stop() == 0
    assert list((folder / "state" / "clips").glob("*.wav"))


def test_two_microphones_one_of_which_was_not_there_at_first(run, home):
    """PortAudio must look anew for the second while the first is listening."""
    folder, _ = home
    run.server()
    alsa = "pcm.{0} {{ type pulse\n device speaker.monitor\n hint {{ show on\n description {0} }} }}\n"
    asoundrc = folder / "home" / ".asoundrc"
    asoundrc.write_text(alsa.format("mic_one"))
    one = config(folder, device="mic_one")
    two = one.split("[[sinks]]")[0].split("\n", 2)[2].replace("kitchen", "attic").replace("mic_one", "mic_two")
    daemon = run(one.replace("[[sinks]]", two + "[[sinks]]"))
    statuses = [daemon.wait_for(type="status") for _ in range(2)]
    assert {(record["input"], record["status"]) for record in statuses} == {("kitchen", "listening"), ("attic", "away")}
    asoundrc.write_text(alsa.format("mic_one") + alsa.format("mic_two"))
    daemon.wait_for(type="status", input="attic", status="listening")
    run.play()
    assert {daemon.wait_for(type="event")["input"], daemon.wait_for(type="event")["input"]} == {"kitchen", "attic"}
    assert daemon.stop() == 0
