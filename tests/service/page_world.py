"""A service with its page, on audio that a test gives."""

import asyncio
import json
import socket
import threading

import numpy as np

from edge_kws.service.config import PackConfig, PageConfig, RetentionConfig, ServiceConfig, StdinConfig
from edge_kws.service.engine import Service
from edge_kws.service.page.application import guarded
from edge_kws.service.page.guard import Guard, Rules
from edge_kws.service.page.hosts import Hosts
from edge_kws.service.page.rate import RateLimit
from edge_kws.service.page.token import Lock
from edge_kws.service.store import Store
from tests.golden.loudness_pack import loudness_pack

HOST = "127.0.0.1:8765"
TOKEN = "t" * 43
OWN = {"host": HOST, "origin": f"http://{HOST}", "content-type": "application/json", "authorization": f"Bearer {TOKEN}"}


class Given:
    """A source that gives these samples, then waits to be closed."""

    description = "given: 16000 Hz"

    def __init__(self, pcm):
        self._pcm = pcm
        self._closed = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self._closed.set()

    def blocks(self):
        yield from np.array_split(self._pcm, max(1, len(self._pcm) // 1600))
        while not self._closed.wait(0.02):
            yield np.zeros(0, np.int16)


def bursts(count):
    """Quiet and loud in turn, 2 s each round: the loudness pack hears every loud one."""
    rng = np.random.default_rng(0)
    return np.concatenate([np.concatenate([rng.integers(-30, 30, 24_000), rng.integers(-6000, 6000, 8000)]) for _ in range(count)]).astype(
        "<i2"
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_service(folder, *, clips=False, rounds=3, page=None):
    """A started service that has heard `rounds` events, and its store."""
    loudness_pack().write(folder / "loudness.tflite")
    config = ServiceConfig(
        state_folder=folder / "state",
        inputs=(StdinConfig(name="kitchen", source="stdin", packs=(PackConfig(pack=str(folder / "loudness.tflite"), unsigned=True),)),),
        retention=RetentionConfig(clips=clips),
        page=page or PageConfig(port=free_port()),
    )
    store = Store(folder / "state", config.retention)
    service = Service(folder / "config.toml", config, store, source=lambda _: Given(bursts(rounds)))
    with service.subscribe() as records:
        service.start()
        heard = 0
        while heard < rounds:
            record = records.get(60)
            assert record is not None, "the service heard nothing"
            heard += record.to_json()["type"] == "event"
    while len(store.events(10)) < rounds:
        threading.Event().wait(0.02)
    return service, store


def unlimited(service, *, token=TOKEN):
    """The application behind its guard, with no limit to how often it may be asked."""
    lock = Lock(token) if token else None
    guard = guarded(service, Hosts.of("127.0.0.1", 8765, ()), lock, threading.Event())
    often = RateLimit(per_second=1e9, burst=10**9)
    return Guard(guard._app, Rules(Hosts.of("127.0.0.1", 8765, ()), lock, often, often))


def ask(application, method, path, *, headers=None, body: bytes | list[bytes] = b"", query=b""):
    """One request; returns status, headers and body. `body` may be a list of pieces."""
    headers = OWN if headers is None else headers
    pieces = list(body) if isinstance(body, list | tuple) else [body]
    messages = [{"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)} for i, piece in enumerate(pieces)]
    sent = []

    async def run():
        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in dict(headers).items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": path.encode("utf-8", "surrogateescape"), "query_string": query, "root_path": "", "headers": raw,
            "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8765), "state": {},
        }  # fmt: skip
        await application(scope, receive, send)

    asyncio.run(run())
    assert sent, "no answer at all"
    found = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def said(answer):
    """Status and JSON of an answer."""
    return answer[0], json.loads(answer[2])
