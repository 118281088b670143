"""HTTP/1.1 as uvicorn speaks it, with an end to those who hold connections without asking anything."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_kws.service.page.hosts import is_loopback

MAX_CONNECTIONS = 64
MAX_CONNECTIONS_AN_ADDRESS = 16
MAX_HEADER_BYTES = 16_384


class Connection(H11Protocol):
    """One connection; closed when there are too many, or when no whole request came for `patience_s` seconds."""

    patience_s = 10.0
    _patience: asyncio.TimerHandle | None = None
    _answered: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes the connection, or ends it at once."""
        super().connection_made(transport)
        address = self.client[0] if self.client else "?"
        same = sum(isinstance(other, Connection) and other.client is not None and other.client[0] == address for other in self.connections)
        if len(self.connections) > MAX_CONNECTIONS or (same > MAX_CONNECTIONS_AN_ADDRESS and not is_loopback(address)):
            transport.abort()
            return
        self._patience = self.loop.call_later(self.patience_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Closes where the client is still writing (or has not begun) the request it was writing `patience_s` ago."""
        if self.conn.their_state is h11.IDLE and self.cycle is self._answered:
            self.transport.abort()
            return
        self._answered = self.cycle
        self._patience = self.loop.call_later(self.patience_s, self._look)
