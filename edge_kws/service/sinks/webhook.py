"""POSTs events as JSON. What the other side does not take waits on disk, bounded, also over restarts."""

import json
import random
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from edge_kws import __version__
from edge_kws.errors import StoreError
from edge_kws.service.config import WebhookConfig
from edge_kws.service.log import Level, log
from edge_kws.service.records import Heard, Record, SinkState
from edge_kws.service.sinks.worker import Worker

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 300.0
_WORTH_ANOTHER_TRY = {408, 425, 429, *range(500, 600)}
_ANSWER_BYTES = 65_536


class _NoRedirect(HTTPRedirectHandler):
    """A redirected POST would silently become a GET: refused, like any other answer that is not 2xx."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


class WebhookSink:
    """Delivers each event at least once and in order, as long as no more than `queue` wait.

    An answer 2xx is a delivery; 408, 425, 429, 5xx and no answer are tried again, after 1 s, 2 s, 4 s ... 5 min; any other answer means
    that this event is not wanted, and it is dropped, counted. `id` in the body tells repeated deliveries apart.
    """

    def __init__(self, config: WebhookConfig, service: "Service") -> None:
        self._config = config
        self._store = service.store
        self._worker = Worker("webhook", service.bus, self._post, lambda record: isinstance(record, Heard) and config.wants(record.pack))
        self._open = build_opener(_NoRedirect).open
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._detail = ""
        self._delivered = self._lost = 0
        self._sender = threading.Thread(target=self._send_all, name="sink webhook sender", daemon=True)

    def start(self) -> None:
        """Begins, with what waits from the last run."""
        self._wake.set()
        self._worker.start()
        self._sender.start()

    def stop(self) -> None:
        """Ends; what waits stays on disk."""
        self._worker.stop()
        self._stopping.set()
        self._wake.set()
        if self._sender.is_alive():
            self._sender.join(5)

    def state(self) -> SinkState:
        """How the sink is now."""
        detail = self._detail or self._worker.detail
        lost = self._lost + self._worker.state().dropped
        try:
            queued = self._store.outbox_size(self._config.url)
        except StoreError:
            queued = 0
        return SinkState("webhook", "webhook", "failing" if detail else "ok", detail, self._delivered, lost, queued)

    def _post(self, record: Record) -> None:
        self._lost += self._store.post(self._config.url, json.dumps(record.to_json()), self._config.queue)
        self._wake.set()

    def _send_all(self) -> None:
        delay = _FIRST_RETRY_S
        while not self._stopping.is_set():
            try:
                message = self._store.outbox(self._config.url)
            except StoreError:
                message = None
            if message is None:
                self._wake.wait()
                self._wake.clear()
                continue
            if self._send_one(*message):
                delay = _FIRST_RETRY_S
                continue
            self._stopping.wait(delay * random.uniform(0.8, 1.2))  # many machines must not come back at the same moment
            delay = min(2 * delay, _LAST_RETRY_S)

    def _send_one(self, number: int, body: str) -> bool:
        """Whether the message is done with."""
        problem, again = self._request(body.encode())
        self._report(problem)
        if problem and again:
            return False
        self._delivered += not problem
        self._lost += bool(problem)
        try:
            self._store.posted(number)
        except StoreError as error:
            self._report(str(error))
            return False
        return True

    def _request(self, body: bytes) -> tuple[str, bool]:
        """What went wrong, or nothing, and whether to try again."""
        headers = {"Content-Type": "application/json", "User-Agent": f"edge-kws/{__version__}", **self._config.headers}
        try:
            with self._open(Request(self._config.url, body, headers), timeout=self._config.timeout_s) as answer:
                answer.read(_ANSWER_BYTES)
        except HTTPError as error:
            error.close()
            return f"answer {error.code}", error.code in _WORTH_ANOTHER_TRY
        except URLError as error:
            return f"no answer ({error.reason})", True
        except (OSError, HTTPException, ValueError) as error:
            return f"no answer ({type(error).__name__})", True
        return "", False

    def _report(self, detail: str) -> None:
        if detail and not self._detail:
            log(Level.WARNING, f"sink webhook: {detail}")
        elif self._detail and not detail:
            log(Level.NOTICE, "sink webhook: works again")
        self._detail = detail
