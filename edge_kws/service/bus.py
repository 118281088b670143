"""Records from inputs to whoever subscribed. Publishing never waits: a subscriber that is too slow loses its oldest records, counted."""

import threading
from collections import deque
from types import TracebackType
from typing import Self

from edge_kws.service.records import Record


class Subscription:
    """A bounded queue of records, for one reader.

    Attributes:
        dropped: records lost because the queue was full.
    """

    def __init__(self, bus: "EventBus", size: int) -> None:
        self._bus = bus
        self._records: deque[Record] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def closed(self) -> bool:
        """Whether no more will come. What is queued can still be read."""
        return self._closed

    def put(self, record: Record) -> None:
        """Adds a record, in place of the oldest when full."""
        with self._changed:
            if self._closed:
                return
            if len(self._records) >= self._size:
                self._records.popleft()
                self.dropped += 1
            self._records.append(record)
            self._changed.notify()

    def get(self, timeout_s: float | None = None) -> Record | None:
        """The oldest record; None when none came in time, or when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._records) or self._closed, timeout_s)
            return self._records.popleft() if self._records else None

    def close(self) -> None:
        """Takes no more records and wakes the reader."""
        self._bus.forget(self)
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class EventBus:
    """Hands each record to every subscription. Any thread may publish, subscribe and close."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def subscribe(self, size: int = 256) -> Subscription:
        """A queue that receives what is published from now on; at most `size` records wait in it."""
        subscription = Subscription(self, size)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Drops a subscription that is being closed."""
        with self._lock:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)

    def publish(self, record: Record) -> None:
        """Gives the record to all subscriptions; never waits for a reader."""
        for subscription in self._subscriptions:
            subscription.put(record)
