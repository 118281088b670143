"""Server-sent events: the state of the daemon, new spectrogram columns and new records, five times a second to each browser."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from edge_kws.service.bus import Subscription
from edge_kws.service.page.guard import RefusalError

if TYPE_CHECKING:
    from edge_kws.service.engine import Service
    from edge_kws.service.listening import Listening

MAX_STREAMS = 8
_TICK_S = 0.2
_SEND_TIMEOUT_S = 15.0
_RECORDS = 256


class Live:
    """Feeds the browsers that look. Nobody looks: nothing is computed."""

    def __init__(self, service: "Service", stopping: threading.Event) -> None:
        self._service, self._stopping = service, stopping
        self._streams = 0
        self._state, self._state_at = "", 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the browser leaves or the page stops."""
        if scope["method"] != "GET":
            raise RefusalError(405, "expected GET")
        if self._streams >= MAX_STREAMS:
            raise RefusalError(503, f"{MAX_STREAMS} browsers look already: close one")
        self._streams += 1
        leaving = asyncio.ensure_future(_left(receive))
        try:
            headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            with self._service.subscribe(_RECORDS) as feed:
                await self._feed(feed, leaving, send)
            if not leaving.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            self._streams -= 1

    async def _feed(self, feed: Subscription, leaving: "asyncio.Future[None]", send: Send) -> None:
        shown: dict[Listening, int] = {}
        while not leaving.done() and not self._stopping.is_set():
            text = "".join([*self._records(feed), _message("state", self._state_text()), *self._columns(shown)])
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):  # a browser that does not read makes room for another
                    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            except TimeoutError:
                return
            await asyncio.wait([leaving], timeout=_TICK_S)

    def _state_text(self) -> str:
        """The snapshot as JSON; browsers share one that is fresh."""
        now = time.monotonic()
        if now - self._state_at > _TICK_S / 2:
            self._state, self._state_at = json.dumps(_rounded(self._service.snapshot().to_json()), separators=(",", ":")), now
        return self._state

    def _columns(self, shown: "dict[Listening, int]") -> Iterator[str]:
        """What each input has heard since; an input that was started anew is another object and begins at 0."""
        for name, listening in self._service.inputs.items():
            first, columns = listening.columns(shown.get(listening, -1))
            if len(columns):
                shown[listening] = first + len(columns) - 1
                data = base64.b64encode(columns.tobytes()).decode()
                piece = {"input": name, "first": first, "bins": columns.shape[1], "data": data}
                yield _message("columns", json.dumps(piece, separators=(",", ":")))

    @staticmethod
    def _records(feed: Subscription) -> Iterator[str]:
        for _ in range(len(feed)):
            record = feed.get(0)
            if record is not None:
                yield _message("record", json.dumps(record.to_json(), separators=(",", ":")))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _message(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"


def _rounded(value: Any) -> Any:
    """The same with four decimals: more is no information, only traffic."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(entry) for key, entry in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [_rounded(entry) for entry in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
