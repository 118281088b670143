"""systemd hears the truth: ready when audio flows, the watchdog fed only while it does."""

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from edge_kws.service.bus import EventBus
from edge_kws.service.health import Health
from edge_kws.service.notify import Notifier
from edge_kws.service.records import InputStatus, Noticed


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def said():
            lines = []
            while True:
                try:
                    lines += server.recv(4096).decode().split("\n")
                except BlockingIOError:
                    return lines

        yield said


def entry(name, heard_ago=None, status=InputStatus.LISTENING, progress_ago=0.0) -> Any:
    return SimpleNamespace(
        config=SimpleNamespace(name=name),
        status=status,
        last_audio=None if heard_ago is None else time.monotonic() - heard_ago,
        progress=time.monotonic() - progress_ago,
        check_stall=lambda: None,
        state=lambda: SimpleNamespace(name=name, status=status.value, detail="why"),
    )


def test_ready_comes_with_the_first_audio_of_every_input(systemd):
    health = Health(EventBus(), Notifier())
    deaf, hears = entry("a", status=InputStatus.AWAY), entry("b", 0.1)
    assert health.check([deaf]) is False
    assert systemd() == ["STATUS=a: away (why)"]
    health.check([deaf, hears])
    assert "READY=1" not in systemd()
    assert health.check([entry("a", 0.0), hears]) is True
    assert {"READY=1", "WATCHDOG=1"} <= set(systemd())
    health.check([hears])
    assert "READY=1" not in systemd(), "once"


def test_the_watchdog_starves_when_no_audio_flows_or_a_thread_hangs(systemd):
    health = Health(EventBus(), Notifier())
    for inputs, fed in [
        ([entry("a", 0.1)], True),
        ([entry("a", 60.0)], False),
        ([entry("a", 60.0), entry("b", 0.1)], True),  # one unplugged microphone must not silence the other
        ([entry("a", 60.0, progress_ago=60.0), entry("b", 0.1)], False),  # but a hung driver can only be helped by a restart
        ([], False),
    ]:
        systemd()
        assert health.check(inputs) is fed
        assert ("WATCHDOG=1" in systemd()) is fed


def test_a_clock_jump_is_reported_once(systemd, monkeypatch):
    bus = EventBus()
    feed = bus.subscribe()
    health = Health(bus, Notifier())
    now = time.time
    health.check([])
    monkeypatch.setattr("time.time", lambda: now() - 3600)
    health.check([])
    health.check([])
    notice = feed.get(0)
    assert isinstance(notice, Noticed)
    assert (notice.subject, notice.detail[:27]) == ("clock", "the clock jumped by -3600 s")
    assert feed.get(0) is None


def test_without_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().send("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    Notifier().send("READY=1")
