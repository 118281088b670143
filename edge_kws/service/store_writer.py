"""Brings records and clips from the bus to the store, so that a slow or full disk never holds up an input."""

import threading
import time
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import StoreError
from edge_kws.service.bus import EventBus
from edge_kws.service.log import Level, log
from edge_kws.service.records import Changed, Heard, Noticed, StoreState
from edge_kws.service.store import Store

_WAITING_RECORDS = 10_000
_WAITING_CLIPS = 16
_GATHER_S = 0.2  # records that come together are committed together
_RETRY_S = 2.0
_DISK_AGAIN_S = 10.0
_ROOM_BYTES = 1_000_000


class _Clip(NamedTuple):
    event: Heard
    pcm: NDArray[np.int16]


class StoreWriter:
    """Writes in a thread of its own; what the disk refuses waits in memory, bounded, and is tried again."""

    def __init__(self, store: Store, bus: EventBus) -> None:
        self._store = store
        self._bus = bus
        self._subscription = bus.subscribe(_WAITING_RECORDS)
        self._records: deque[Heard | Changed | Noticed] = deque(maxlen=_WAITING_RECORDS)
        self._clips: deque[_Clip] = deque(maxlen=_WAITING_CLIPS)
        self._lost = 0
        self._detail = ""
        self._next_try = 0.0
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, once, and ends."""
        self._subscription.close()
        if self._thread.is_alive():
            self._thread.join(10)

    def keep_clip(self, event: Heard, pcm: NDArray[np.int16]) -> None:
        """Takes a clip to be written; never waits."""
        self._lost += len(self._clips) == _WAITING_CLIPS
        self._clips.append(_Clip(event, pcm))

    def state(self) -> StoreState:
        """How the store is now."""
        store = self._store
        return StoreState(
            status="failing" if self._detail else "ok",
            detail=self._detail,
            waiting=len(self._records) + len(self._subscription) + len(self._clips),
            lost=self._lost + self._subscription.dropped,
            retention=store.retention.clips,
            clips=store.clips,
            clip_bytes=store.clip_bytes,
            budget_bytes=round(store.retention.budget_mb * 1e6),
        )

    def _run(self) -> None:
        while True:
            ending = self._subscription.closed
            self._gather(None if ending else 0.5)
            try:
                self._watch_trouble()
                self._write_records()
            except StoreError as error:
                self._report(str(error))
                self._make_room()
                if not ending:
                    time.sleep(_RETRY_S)
            else:
                self._report(self._write_clips() or self._store.trouble)
            if ending:
                return

    def _gather(self, timeout_s: float | None) -> None:
        record = self._subscription.get(timeout_s) if timeout_s is not None else self._subscription.get(0)
        if record is not None and timeout_s is not None:
            time.sleep(_GATHER_S)
        while record is not None:
            if isinstance(record, Heard | Changed | Noticed):
                self._lost += len(self._records) == _WAITING_RECORDS
                self._records.append(record)
            record = self._subscription.get(0)

    def _watch_trouble(self) -> None:
        if self._store.trouble and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + _DISK_AGAIN_S
            self._make_room()
            self._store.try_disk_again()

    def _write_records(self) -> None:
        batch = list(self._records)
        if batch:
            self._store.add(batch)
            for _ in batch:
                self._records.popleft()

    def _write_clips(self) -> str:
        """Writes what waits; returns why a clip was refused. It is not tried again: the next one may be worth more."""
        refusal = ""
        while self._clips:
            event, pcm = self._clips.popleft()
            try:
                self._store.keep_clip(event.id, event.input, pcm, event.time)
            except StoreError as error:
                self._lost += 1
                refusal = str(error)
        return refusal

    def _report(self, detail: str) -> None:
        if bool(detail) != bool(self._detail):
            log(Level.ERROR if detail else Level.NOTICE, detail or "store: works again")
            self._bus.publish(Noticed(time.time(), "store", detail or "works again"))
        self._detail = detail

    def _make_room(self) -> None:
        with suppress(OSError):
            self._store.drop_oldest_clips(_ROOM_BYTES)
