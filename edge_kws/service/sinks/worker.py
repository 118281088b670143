"""What most sinks share: a bounded queue from the bus, a thread that delivers, and an account of how it goes."""

import threading
from collections.abc import Callable

from edge_kws.service.bus import EventBus
from edge_kws.service.log import Level, log
from edge_kws.service.records import Record, SinkState

_QUEUE = 1000


class Worker:
    """Calls `deliver` for each record wanted, in a thread of its own.

    Args:
        kind: the sink's kind, for people.
        bus: where records come from.
        deliver: takes one record; an exception counts as a failure, is reported once, and the next record is tried.
        wants: which records to take.
    """

    def __init__(self, kind: str, bus: EventBus, deliver: Callable[[Record], None], wants: Callable[[Record], bool]) -> None:
        self._kind = kind
        self._deliver = deliver
        self._wants = wants
        self._subscription = bus.subscribe(_QUEUE)
        self._thread: threading.Thread | None = None
        self.delivered = 0
        self.lost = 0
        self.detail = ""

    def start(self) -> None:
        """Begins with what was published since construction."""
        self._thread = threading.Thread(target=self._run, name=f"sink {self._kind}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Delivers what waits, as far as the time allows."""
        self._subscription.close()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def state(self) -> SinkState:
        """How it goes."""
        return SinkState(
            name=self._kind,
            kind=self._kind,
            status="failing" if self.detail else "ok",
            detail=self.detail,
            delivered=self.delivered,
            dropped=self.lost + self._subscription.dropped,
            queued=len(self._subscription),
        )

    def _run(self) -> None:
        while (record := self._subscription.get()) is not None or not self._subscription.closed:
            if record is None or not self._wants(record):
                continue
            try:
                self._deliver(record)
            except Exception as error:  # whatever a sink meets, the daemon goes on
                self.lost += 1
                self._report(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            else:
                self.delivered += 1
                self._report("")

    def _report(self, detail: str) -> None:
        if detail and not self.detail:
            log(Level.WARNING, f"sink {self._kind}: {detail}")
        elif self.detail and not detail:
            log(Level.NOTICE, f"sink {self._kind}: works again")
        self.detail = detail
