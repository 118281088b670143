"""The Wyoming protocol (Home Assistant's voice pipeline), as a server: a wake service, or a satellite."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer, AsyncTcpServer

from edge_kws.errors import ConfigError
from edge_kws.service.config import WyomingConfig
from edge_kws.service.log import Level, log
from edge_kws.service.records import SinkState
from edge_kws.service.sinks.wyoming_satellite import Satellite
from edge_kws.service.sinks.wyoming_wake import WakeService

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_MAX_CLIENTS = 16
_MAX_EVENT_BYTES = 1 << 20
_START_S = 10.0


class WyomingSink:
    """A TCP server in an asyncio loop and thread of its own."""

    def __init__(self, config: WyomingConfig, service: "Service") -> None:
        self._config = config
        self._role: WakeService | Satellite = WakeService(config, service) if config.role == "wake" else Satellite(config, service)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sink wyoming", daemon=True)
        self._server: AsyncServer = AsyncTcpServer(config.host, config.port)
        self._handlers: set[_Handler] = set()

    def start(self) -> None:
        """Opens the port. Raises ConfigError where that cannot be."""
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._server.start(self._handler), self._loop)
        try:
            opening.result(_START_S)
        except OSError as error:
            self._end_loop()
            where = f"{self._config.host}:{self._config.port}"
            raise ConfigError(f"sink wyoming: {where}: expected a free port, found: {error.strerror}; choose another `port`") from None
        self._role.start(self._loop)

    def stop(self) -> None:
        """Closes the port and all connections."""
        self._role.stop()
        if not self._thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(_START_S)
        except TimeoutError:
            log(Level.WARNING, "sink wyoming: a connection does not close")
        self._end_loop()

    def state(self) -> SinkState:
        """How the sink is now."""
        role = self._role
        return SinkState(f"wyoming {self._config.role}", "wyoming", "ok", role.detail(), role.delivered, role.dropped, 0)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Handler":
        return _Handler(reader, writer, self._role, self._handlers)


class _Handler(AsyncEventHandler):
    """One connection. What is not the protocol ends it, and nothing else."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: "WakeService | Satellite", handlers: "set[_Handler]"
    ) -> None:
        super().__init__(reader, writer)
        # The library reads as many bytes as the other side announces; here it learns of a limit.
        setattr(reader, "readexactly", partial(_read_exactly, reader.readexactly))  # noqa: B010
        self._handlers = handlers
        self._session = role.connect(self.write_event)
        handlers.add(self)

    async def run(self) -> None:
        """Serves the connection until either side has had enough."""
        try:
            if len(self._handlers) <= _MAX_CLIENTS:
                await super().run()
        except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            log(Level.WARNING, f"sink wyoming: closed a connection: {type(error).__name__}: {error}")
        finally:
            self._handlers.discard(self)
            await self._session.close()
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Answers one event; always stays connected."""
        if Describe.is_type(event.type):
            await self.write_event(self._session.info().event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        else:
            await self._session.handle(event)
        return True


async def _read_exactly(read: Callable[[int], Awaitable[bytes]], count: int) -> bytes:
    if not 0 <= count <= _MAX_EVENT_BYTES:
        raise ValueError(f"expected an event of at most {_MAX_EVENT_BYTES} bytes")
    return await read(count)
