"""Where events go."""

from types import TracebackType
from typing import Protocol, Self

from edge_kws.events import Event, Gap


class EventSink(Protocol):
    """Takes events and gaps in the order of their positions, between entering and leaving it as a context manager."""

    def __enter__(self) -> Self:
        """Open what the sink writes to."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Deliver what is pending and restore what was changed, also after an error or Ctrl-C."""
        ...

    def event(self, event: Event) -> None:
        """Take one detection."""
        ...

    def gap(self, gap: Gap) -> None:
        """Take one stretch of lost audio."""
        ...
