"""Where the daemon's records go. A sink is one module here and one line in `open.py`."""

from typing import Protocol

from edge_kws.service.records import SinkState


class Sink(Protocol):
    """Takes records from the bus in threads of its own, between `start` and `stop`."""

    def start(self) -> None:
        """Begins; must not wait for a network. Raises ConfigError for what can never work, such as a port in use."""
        ...

    def stop(self) -> None:
        """Ends within a few seconds, whatever the other side does; also where `start` was never called or failed."""
        ...

    def state(self) -> SinkState:
        """How the sink is now."""
        ...
