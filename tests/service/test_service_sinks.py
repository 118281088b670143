"""The daemon's sinks, each against the real thing: an MQTT broker, an HTTP server, a Wyoming client, a program."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from edge_kws.detector import Detector
from tests.golden.loudness_pack import loudness_pack
from tests.service.fed import BURST, PATIENCE_S, RNG, Running, until


@pytest.fixture
def running(tmp_path):
    """Starts a service with a sink's TOML."""
    started = []

    def start(text):
        service = Running(tmp_path, text)
        started.append(service)
        return service.__enter__()

    yield start
    for service in started:
        service.__exit__()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- JSONL ----


def test_jsonl_file_stays_below_its_limit(running, tmp_path):
    path = tmp_path / "events.jsonl"
    service = running(f'[[sinks]]\nkind = "jsonl"\npath = "{path}"\nmax_bytes = 10000\n')
    events = [service.burst() for _ in range(60)]
    until(lambda: str(events[-1].id) in path.read_text())
    lines = [json.loads(line) for name in (f"{path}.1", path) for line in Path(name).read_text().splitlines()]
    assert path.stat().st_size <= 10_000 >= Path(f"{path}.1").stat().st_size
    assert lines[-1]["id"] == events[-1].id
    assert [line["id"] for line in lines if line["type"] == "event"] == [event.id for event in events][-len(lines) :]


# ---- command ----

KEEP = """
import json, os, sys, wave
event = json.loads(os.environ["EDGE_KWS_EVENT"])
open(sys.argv[1] + "/" + str(event["id"]) + ".part", "wb").write(sys.stdin.buffer.read())
os.rename(sys.argv[1] + "/" + str(event["id"]) + ".part", sys.argv[1] + "/" + str(event["id"]) + ".wav")
assert "NOTIFY_SOCKET" not in os.environ
"""


def test_a_command_gets_the_event_and_its_audio_sample_by_sample(running, tmp_path):
    command = json.dumps([sys.executable, "-c", KEEP, str(tmp_path), "$(touch hacked); `touch hacked`"])
    service = running(f'[[sinks]]\nkind = "command"\ncommand = {command}\nbefore_s = 0.75\nafter_s = 0.3\n')
    service.burst()
    event = service.burst()
    service.source.give(BURST[:8000])
    path = tmp_path / f"{event.id}.wav"
    until(path.exists)
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(pcm, service.source.given[event.end - 12_000 : event.end + 4800])
    assert not list(tmp_path.rglob("hacked"))


def test_a_command_that_fails_hangs_or_is_not_there_is_reported_and_holds_up_nothing(running, tmp_path):
    hang = json.dumps(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(1000)'])"]
    )
    for command, said in (('["false"]', "status 1"), ('["/no/such"]', "No such file"), (hang, "killed")):
        folder = tmp_path / said
        folder.mkdir()
        with Running(folder, f'[[sinks]]\nkind = "command"\ncommand = {command}\ntimeout_s = 0.5\n') as service:
            service.burst()
            until(lambda service=service, said=said: said in service.sink().detail)
            service.burst()


# ---- webhook ----


class Web:
    """An HTTP server that answers with the statuses it is given, and remembers what it was sent."""

    def __init__(self, port):
        self.got, self.answers = [], []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = web.answers.pop(0) if web.answers else 200
                web.got.append((status, json.loads(body), dict(self.headers)))
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("edge_kws.service.sinks.webhook._FIRST_RETRY_S", 0.05)
    monkeypatch.setattr("edge_kws.service.sinks.webhook._LAST_RETRY_S", 0.1)


def test_a_webhook_delivers_in_order_retries_what_may_work_and_drops_what_never_will(running, quick):
    port = free_port()
    web = Web(port)
    web.answers = [503, 429, 200, 400, 302, 200]
    service = running(f'[[sinks]]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/x"\nheaders = {{X-Key = "secret"}}\n')
    events = [service.burst() for _ in range(4)]
    until(lambda: len(web.got) == 6)
    web.close()
    ids = [(status, body["id"]) for status, body, _ in web.got]
    first, second, third, fourth = (event.id for event in events)
    assert ids == [(503, first), (429, first), (200, first), (400, second), (302, third), (200, fourth)], "a redirect is not followed"
    assert web.got[0][2]["X-Key"] == "secret"
    until(lambda: service.sink().queued == 0)
    assert (service.sink().delivered, service.sink().dropped) == (2, 2)


def test_what_a_webhook_cannot_deliver_waits_on_disk_bounded_also_over_a_restart(tmp_path, quick):
    port = free_port()
    text = f'[[sinks]]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\nqueue = 3\n'
    with Running(tmp_path, text) as service:
        events = [service.burst() for _ in range(5)]
        until(lambda: service.sink().dropped == 2)
        state = service.sink()
        assert (state.status, state.queued) == ("failing", 3)
        assert "no answer" in state.detail
    web = Web(port)
    with Running(tmp_path, text) as service:
        until(lambda: len(web.got) == 3)
        assert [body["id"] for _, body, _ in web.got] == [event.id for event in events[2:]]
        until(lambda: service.sink().queued == 0)
        assert service.sink().status == "ok"
    web.close()


# ---- Prometheus ----


def test_prometheus_metrics_are_those_of_the_moment(running):
    port = free_port()
    service = running(f'[[sinks]]\nkind = "prometheus"\nport = {port}\n')
    service.burst()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    assert 'edge_kws_input_listening{input="kitchen"} 1.0' in text
    assert 'edge_kws_input_events_total{input="kitchen"} 1.0' in text
    assert "edge_kws_retention_enabled 0.0" in text
    assert "edge_kws_resident_memory_bytes" in text


def test_a_port_in_use_keeps_nobody_from_hearing_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_kws.service.engine._TRY_SINKS_S", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for sink in (f'kind = "wyoming"\nrole = "wake"\nport = {port}', f'kind = "prometheus"\nport = {port}'):
            service = Running(tmp_path, f"[[sinks]]\n{sink}\n")
            with service:
                service.burst()
                service.service.tick()
                assert f"127.0.0.1:{port}: expected a free port" in service.sink().detail
                if "prometheus" in sink:
                    taken.close()
                    service.service.tick()
                    assert service.sink().status == "ok"


# ---- MQTT ----


@pytest.fixture
def broker(tmp_path):
    """Starts and stops a real broker on one port, and reads from it."""
    mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if mosquitto is None or shutil.which("mosquitto_sub") is None:
        if os.environ.get("CI"):
            pytest.fail("no mosquitto: apt-get install mosquitto mosquitto-clients")
        pytest.skip("no mosquitto: apt-get install mosquitto mosquitto-clients")
    made = []

    class Broker:
        port = free_port()

        def start(self):
            config = tmp_path / "mosquitto.conf"
            config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
            self.process = subprocess.Popen([mosquitto, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            made.append(self.process)
            until(self.answers)

        def answers(self):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        def stop(self):
            self.process.terminate()
            self.process.wait(10)

        def read(self, topic, count=1):
            command = ["mosquitto_sub", "-p", str(self.port), "-t", topic, "-C", str(count), "-W", str(PATIENCE_S)]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

        def listen(self, topic):
            command = ["mosquitto_sub", "-p", str(self.port), "-t", topic, "-v"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            made.append(process)
            return process

    yield Broker()
    for process in made:
        process.kill()
        process.wait()


def mqtt(broker):
    return f'[[sinks]]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\nnode = "pi"\n'


@pytest.mark.slow
def test_mqtt_announces_itself_to_home_assistant_and_reports_what_it_hears(running, broker):
    broker.start()
    service = running(mqtt(broker))
    service.source.give(BURST[:8000])
    document = json.loads(broker.read("homeassistant/device/edge_kws_pi/config")[0])
    entity = document["components"]["kitchen_loudness"]
    assert (entity["platform"], entity["event_types"]) == ("event", ["loud"])
    assert {component["platform"] for component in document["components"].values()} == {"sensor", "binary_sensor", "event"}
    ids = [component["unique_id"] for component in document["components"].values()]
    assert len(set(ids)) == len(ids)
    assert broker.read(document["availability_topic"]) == ["online"]
    until(lambda: json.loads(broker.read("edge_kws/pi/kitchen/state")[0])["status"] == "listening")
    heard = broker.listen(entity["state_topic"])
    time.sleep(0.5)  # mosquitto_sub does not say when it has subscribed
    event = service.burst()
    topic, message = heard.stdout.readline().split(maxsplit=1)
    assert topic == "edge_kws/pi/kitchen/loudness/event"
    assert json.loads(message) == {"event_type": "loud", "score": round(event.score, 3), "time": event.time, "id": event.id}


@pytest.mark.slow
def test_mqtt_survives_the_brokers_restart(running, broker):
    service = running(mqtt(broker))  # before there is one
    until(lambda: service.sink().status == "connecting")
    broker.start()
    until(lambda: service.sink().status == "ok")
    broker.stop()
    until(lambda: service.sink().status == "connecting")
    assert "tries again" in service.sink().detail
    broker.start()
    until(lambda: service.sink().status == "ok")
    assert broker.read("edge_kws/pi/availability") == ["online"]
    assert "kitchen_loudness" in broker.read("homeassistant/device/edge_kws_pi/config")[0], "announced again: the broker forgot"


@pytest.mark.slow
def test_a_killed_daemon_is_offline_by_its_last_will_and_a_stopped_one_at_once(tmp_path, broker):
    broker.start()
    with Running(tmp_path, mqtt(broker)) as service:
        until(lambda: service.sink().status == "ok")
        assert broker.read("edge_kws/pi/availability") == ["online"]
    assert broker.read("edge_kws/pi/availability") == ["offline"]
    loudness_pack().write(tmp_path / "loudness.tflite")
    config = tmp_path / "config.toml"
    pack = f'[{{pack = "{tmp_path / "loudness.tflite"}", unsigned = true}}]'
    state = f'state_folder = "{tmp_path / "killed"}"\n[[inputs]]\nname = "kitchen"\nsource = "stdin"\npacks = {pack}\n'
    config.write_text(state + mqtt(broker) + "[page]\nenabled = false\n")
    command = [sys.executable, "-m", "edge_kws.cli.main", "service", "run", "--config", str(config)]
    daemon = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until(lambda: broker.read("edge_kws/pi/availability") == ["online"])
    daemon.kill()
    daemon.wait()
    assert broker.read("edge_kws/pi/availability") == ["offline"]


def test_an_event_that_finds_no_broker_in_time_is_lost_and_counted(running, broker, monkeypatch):
    monkeypatch.setattr("edge_kws.service.sinks.mqtt._PATIENCE_S", 0.3)
    service = running(mqtt(broker))
    service.burst()
    until(lambda: service.sink().dropped == 1)


# ---- Wyoming ----


def wyoming(role, extra=""):
    port = free_port()
    return port, f'[[sinks]]\nkind = "wyoming"\nrole = "{role}"\nport = {port}\n{extra}'


def converse(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


async def answer(client):
    event = await client.read_event()
    assert event is not None, "the connection was closed"
    return event


def test_wyoming_wake_service(running):
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info
    from wyoming.ping import Ping, Pong
    from wyoming.wake import Detect, Detection, NotDetected

    port, text = wyoming("wake")
    running(text)
    (expected,) = Detector([loudness_pack()]).process(BURST)

    async def talk():
        async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await answer(client))
            assert [model.name for model in info.wake[0].models] == ["loud"]
            await client.write_event(Ping(text="there?").event())
            assert Pong.from_event(await answer(client)).text == "there?"
            answers = []
            for names, pcm, rate, channels in (
                (None, BURST, 16_000, 1),
                (["loud"], np.repeat(BURST, 2), 16_000, 2),
                (["other"], BURST, 16_000, 1),
                (None, BURST[:20_000], 16_000, 1),
                (None, np.repeat(BURST, 3), 48_000, 1),
            ):
                form = {"rate": rate, "width": 2, "channels": channels}
                await client.write_event(Detect(names=names).event())
                await client.write_event(AudioStart(**form).event())
                for at in range(0, len(pcm), 1000):
                    await client.write_event(AudioChunk(audio=pcm[at : at + 1000].astype("<i2").tobytes(), **form).event())
                await client.write_event(AudioStop().event())
                answers.append(await answer(client))
            return answers

    whole, stereo, other, short, resampled = converse(talk())
    assert Detection.from_event(whole).name == "loud"
    assert Detection.from_event(whole).timestamp == expected.end * 1000 // 16_000
    assert Detection.is_type(stereo.type)
    assert NotDetected.is_type(other.type)
    assert NotDetected.is_type(short.type)
    assert Detection.is_type(resampled.type)


def test_wyoming_satellite_streams_from_before_the_words_end_sample_by_sample(running):
    from wyoming.asr import Transcript
    from wyoming.audio import AudioChunk
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info
    from wyoming.satellite import RunSatellite

    port, text = wyoming("satellite", "before_s = 1.25\nlisten_s = 2.0\n")
    service = running(text)

    async def talk():
        async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await answer(client))
            assert info.satellite is not None
            assert info.satellite.active_wake_words == ["loud"]
            await client.write_event(RunSatellite().event())
            await asyncio.sleep(0.3)
            interactions = []
            for stop_early in (False, True):
                event = await asyncio.get_running_loop().run_in_executor(None, service.burst)
                service.source.give(RNG.integers(-30, 30, 50_000).astype(np.int16))
                order, audio = [], b""
                while not order or order[-1] != "audio-stop":
                    said = await answer(client)
                    order.append(said.type)
                    if AudioChunk.is_type(said.type):
                        audio += AudioChunk.from_event(said).audio
                        if stop_early:
                            await client.write_event(Transcript(text="turn on the light").event())
                interactions.append((event, order, np.frombuffer(audio, "<i2")))
            return interactions

    (event, order, pcm), (second, _, short) = converse(talk())
    assert order[:4] == ["detection", "run-pipeline", "audio-start", "audio-chunk"]
    np.testing.assert_array_equal(pcm, service.source.given[event.end - 20_000 : event.end + 32_000])
    assert 0 < len(short) <= 52_000
    np.testing.assert_array_equal(short, service.source.given[second.end - 20_000 :][: len(short)])
    assert service.sink().delivered == 2


def test_wyoming_without_a_server_counts_the_wake_word(running):
    _, text = wyoming("satellite")
    service = running(text)
    service.burst()
    until(lambda: service.sink().dropped == 1)
    assert service.sink().detail == "no server has connected"


def test_wyoming_survives_whatever_is_sent(running):
    port, text = wyoming("wake")
    running(text)
    rng = np.random.default_rng(3)
    hostile = [
        b"\n", b"{}\n", b"[]\n", b"null\n", b"{\n" * 5, b"x" * 100_000, b'{"type": "audio-start"}\n', b'{"type": 7}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n', b'{"type": "audio-chunk", "data_length": -5, "payload_length": "x"}\n',
        b'{"type": "audio-start", "data": {"rate": 1e9, "width": 2, "channels": 1}}\n',
        b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 0}}\n',
        b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": null}}\n',
        b'{"type": "detect", "data": {"names": 5}}\n{"type": "ping", "data": 5}\n',
        b"[" * 100_000 + b"\n", bytes(rng.integers(0, 256, 10_000, dtype=np.uint8)),
    ]  # fmt: skip
    for message in hostile:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(65_536):
                    pass
    assert describe(port).wake, "others are served as before"


def describe(port):
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info

    async def talk():
        async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
            await client.write_event(Describe().event())
            return Info.from_event(await answer(client))

    return converse(talk())
