"""The page on one screen: a socket, and a thread that makes a web server the moment somebody knocks: it takes 15 MB."""

import importlib.util
import select
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_kws.errors import ConfigError
from edge_kws.service.config import PageConfig
from edge_kws.service.log import Level, log
from edge_kws.service.page.hosts import Hosts, is_loopback
from edge_kws.service.page.token import Lock, read_or_make
from edge_kws.service.records import Noticed

if TYPE_CHECKING:
    import uvicorn

    from edge_kws.service.engine import Service

_Opened = tuple[socket.socket, Lock | None]
_KNOCK_S = 0.25
_RETRY_S = 3.0
_BACKLOG = 64
_STOP_S = 5.0
_TOKEN_FILE = "page_token"


class Page:
    """Serves the page from a thread of its own.

    Bound to anything but loopback, or shown by a reverse proxy (`hosts`), it asks for a token, which is made on the first start.

    Args:
        service: what is shown.
        config: where.
        state_folder: where the token is kept.

    Attributes:
        url: where it is, once started.
    """

    def __init__(self, service: "Service", config: PageConfig, state_folder: Path) -> None:
        self._service, self._config, self._state_folder = service, config, state_folder
        self._stopping = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._trouble = ""
        self.url = ""

    def start(self) -> None:
        """Opens the port, now or, as long as that cannot be, again and again: a page that cannot be shown keeps no input from hearing."""
        opened = self._open()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Says goodbye to browsers and closes the port."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _run(self, opened: _Opened | None) -> None:
        while True:
            if opened is not None:
                self._serve(*opened)
            if self._stopping.wait(_RETRY_S):
                return
            opened = self._open()

    def _open(self) -> _Opened | None:
        """The listening socket, and the lock where a token is asked for; None, having said why, where one of them cannot be had."""
        config = self._config
        try:
            for package in ("starlette", "uvicorn"):
                if importlib.util.find_spec(package) is None:
                    raise ConfigError(f"page: expected the service's packages, found no {package}: pip install 'edge-kws[service]'")
            self.url = f"http://{_shown(config.host)}:{config.port}/"
            lock = self._lock() if config.hosts or not is_loopback(config.host) else None
            listener = _listen(config.host, config.port)
        except ConfigError as error:
            if str(error) != self._trouble:
                log(Level.ERROR, str(error))
                self._service.bus.publish(Noticed(time.time(), "page", str(error)))
            self._trouble = str(error)
            return None
        self._trouble = ""
        log(Level.NOTICE, f"page: {self.url}")
        return listener, lock

    def _lock(self) -> Lock:
        token, new = read_or_make(self._state_folder / _TOKEN_FILE)
        if new:
            log(Level.NOTICE, f"page: open {self.url}#token={token} once in each browser; this line is not printed again")
        return Lock(token)

    def _serve(self, listener: socket.socket, lock: Lock | None) -> None:
        with listener:
            while not select.select([listener], [], [], _KNOCK_S)[0]:
                if self._stopping.is_set():
                    return
            try:
                from edge_kws.service.page.application import guarded, serve, server

                hosts = Hosts.of(self._config.host, self._config.port, self._config.hosts)
                self._server = server(guarded(self._service, hosts, lock, self._stopping))
                if not self._stopping.is_set():
                    serve(self._server, listener)
            except Exception as error:  # the daemon hears without its page
                log(Level.ERROR, f"page: ended by an unexpected {type(error).__name__}: {error}")


def _shown(host: str) -> str:
    """The host in an address somebody can open: this machine's name where it is bound to all addresses."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname().lower()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        found = error.strerror or type(error).__name__
        raise ConfigError(f"page: {host}:{port}: expected a free port, found: {found}; choose another `port` in [page]") from None
    return listener
