"""Events, labels and clips that survive power cuts: what was committed stays, what was being written never shows."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import EdgeKwsError, StoreError
from edge_kws.service.clips import FRESH, ClipFolder
from edge_kws.service.config import RetentionConfig
from edge_kws.service.database import Guard, copy_rows, open_database, open_in_memory
from edge_kws.service.records import Changed, Heard, InputStatus, Noticed
from edge_kws.service.stored import Label, StoredEvent, Verdict, label_drawer

DATABASE = "edge_kws.sqlite3"
_RESERVE_BYTES = 32_000_000
_KEPT_CHANGES = 10_000
_PRUNE_EVERY = 500
_NOTICE = "notice"
_NUMBERED = ("events", "clips", "labels")
_LABEL_COLUMNS = "id, event, time, input, pack, label, verdict"
_EVENT_COLUMNS = ", ".join(field.name for field in fields(Heard))
_EVENT_MARKS = ", ".join("?" for _ in fields(Heard))


class Store:
    """The database and the clips below `folder`. Any thread may call any method.

    Args:
        folder: made where it is not; readable by its owner only.
        retention: whether and how much audio is kept.

    Attributes:
        trouble: why everything is in memory only, empty when it is on disk.
        clips: clips on disk.
        clip_bytes: their size.

    Raises:
        ConfigError: (on construction) the folder cannot be written or holds a database of a newer version.
        StoreError: (from every method) the disk refuses; nothing was half done.
    """

    def __init__(self, folder: Path, retention: RetentionConfig) -> None:
        self.retention = retention
        self._path = folder / DATABASE
        self._lock = threading.RLock()
        self._clips = ClipFolder(folder)
        self._since_prune = 0
        self.trouble = ""
        try:
            self._database = open_database(self._path)
            self._reconcile()
        except StoreError as error:  # a full disk must not keep the daemon from hearing
            self.trouble = str(error)
            self._database = open_in_memory()
        self.clip_bytes, self.clips = self._totals()
        newest = [self._database.execute(f"SELECT ifnull(max(id), 0) FROM {table}").fetchone()[0] for table in _NUMBERED]
        self._last_id: int = max(newest)

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._database.close()

    def try_disk_again(self) -> bool:
        """Where the disk refused at the start: moves to it what has been kept in memory since, if it takes it now."""
        with self._lock:
            try:
                database = open_database(self._path)
            except EdgeKwsError:
                return False
            memory, self._database = self._database, database
            try:
                with self._transaction("events"):
                    copy_rows(memory, database)
                self._reconcile()
            except StoreError:
                self._database = memory
                database.close()
                return False
            memory.close()
            self.trouble = ""
            self.clip_bytes, self.clips = self._totals()
            return True

    def new_id(self) -> int:
        """An id higher than all before it, in every run: milliseconds since 1970, or the next number while the clock stands back."""
        with self._lock:
            self._last_id = max(self._last_id + 1, time.time_ns() // 1_000_000)
            return self._last_id

    # ---- what the daemon writes ----

    def add(self, records: Iterable[Heard | Changed | Noticed]) -> None:
        """Keeps events, status changes and notices; on disk when this returns."""
        with self._lock, self._transaction("events"):
            for record in records:
                if isinstance(record, Heard):
                    values = tuple(getattr(record, field.name) for field in fields(Heard))
                    self._database.execute(f"INSERT OR REPLACE INTO events ({_EVENT_COLUMNS}) VALUES ({_EVENT_MARKS})", values)
                else:
                    values = _change_row(record)
                    self._database.execute("INSERT INTO changes (time, input, status, detail) VALUES (?, ?, ?, ?)", values)
                self._since_prune += 1
            if self._since_prune >= _PRUNE_EVERY:
                self._prune()

    def keep_clip(self, clip: int, input_name: str, pcm: NDArray[np.int16], when: float) -> None:
        """Keeps an event's audio, and removes the oldest clips beyond the budget: those nobody labelled first."""
        with self._lock:
            if self.trouble:
                raise StoreError(self.trouble)
            label = self._label_of(clip)
            self._write_clip(clip, input_name, pcm, when, FRESH if label is None else label_drawer(label))

    # ---- what people ask ----

    def events(
        self, limit: int = 50, before: int | None = None, *, input_name: str | None = None, pack: str | None = None
    ) -> list[StoredEvent]:
        """The newest events, at most `limit`, with ids below `before`, of one input or pack or of all; newest first."""
        with self._lock, self._reading("events"):
            rows = self._database.execute(
                f"""SELECT {", ".join(f"events.{field.name}" for field in fields(Heard))}, labels.verdict, clips.id IS NOT NULL
                FROM events LEFT JOIN labels ON labels.event = events.id LEFT JOIN clips ON clips.id = events.id
                WHERE events.id < ? AND (? IS NULL OR events.input = ?) AND (? IS NULL OR events.pack = ?)
                ORDER BY events.id DESC LIMIT ?""",
                (before if before is not None else 2**62, input_name, input_name, pack, pack, limit),
            ).fetchall()
        return [StoredEvent(Heard(*row[:-2]), row[-2], bool(row[-1])) for row in rows]

    def event(self, event: int) -> StoredEvent | None:
        """One event, None where there is none."""
        found = self.events(1, event + 1)
        return found[0] if found and found[0].event.id == event else None

    def labels(self) -> list[Label]:
        """Everything people said, oldest first."""
        with self._lock, self._reading("labels"):
            return [Label(*row) for row in self._database.execute(f"SELECT {_LABEL_COLUMNS} FROM labels ORDER BY id").fetchall()]

    def changes(self, limit: int = 200) -> list[Changed | Noticed]:
        """The last status changes and notices, newest first."""
        with self._lock, self._reading("status changes"):
            rows = self._database.execute("SELECT time, input, status, detail FROM changes ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [
            Noticed(when, name, detail) if status == _NOTICE else Changed(when, name, InputStatus(status), detail)
            for when, name, status, detail in rows
        ]

    def clip(self, clip: int) -> bytes | None:
        """The WAV file of an event or of a `missed` label; None where none is kept."""
        with self._lock, self._reading("clip"):
            row = self._database.execute("SELECT drawer FROM clips WHERE id = ?", (clip,)).fetchone()
            return None if row is None else self._clips.read(clip, row[0])

    # ---- what people say ----

    def label(self, event: int, verdict: Verdict | None) -> StoredEvent | None:
        """Says what an event was; None takes it back.

        Its clip, if kept, is filed: `false_wake` under `_unknown_`, `correct` under its label.

        Returns:
            The event as it is now; None where there is no such event.
        """
        with self._lock:
            stored = self.event(event)
            if stored is None:
                return None
            heard = stored.event
            with self._transaction("labels"):
                self._database.execute("DELETE FROM labels WHERE event = ?", (event,))
                if verdict is not None:
                    label = Label(self.new_id(), event, time.time(), heard.input, heard.pack, heard.label, verdict)
                    self._insert_label(label)
                    self._file(event, label_drawer(label))
                else:
                    self._file(event, FRESH)
            return self.event(event)

    def add_missed(self, input_name: str, pack: str, label: str, pcm: NDArray[np.int16] | None) -> Label:
        """Says that a label was missed just now; its audio, if given and retention is on, is filed as an example of it."""
        with self._lock:
            said = Label(self.new_id(), None, time.time(), input_name, pack, label, "missed")
            with self._transaction("labels"):
                self._insert_label(said)
            if pcm is not None and self.retention.clips and not self.trouble:
                self._write_clip(said.id, input_name, pcm, said.time, label_drawer(said))
            return said

    def thresholds(self) -> dict[tuple[str, str], float]:
        """Thresholds people set, by input and pack."""
        with self._lock, self._reading("thresholds"):
            rows = self._database.execute("SELECT input, pack, threshold FROM thresholds").fetchall()
        return {(name, pack): threshold for name, pack, threshold in rows}

    def set_threshold(self, input_name: str, pack: str, threshold: float | None) -> None:
        """Keeps a threshold over restarts; None: the configured one holds again."""
        with self._lock, self._transaction("thresholds"):
            if threshold is None:
                self._database.execute("DELETE FROM thresholds WHERE input = ? AND pack = ?", (input_name, pack))
            else:
                self._database.execute("INSERT OR REPLACE INTO thresholds VALUES (?, ?, ?)", (input_name, pack, threshold))

    # ---- what waits for a network ----

    def post(self, sink: str, body: str, limit: int) -> int:
        """Puts a message in a sink's outbox, which keeps the newest `limit`; returns how many old ones that cost."""
        with self._lock, self._transaction("outbox"):
            self._database.execute("INSERT INTO outbox (sink, body) VALUES (?, ?)", (sink, body))
            return self._database.execute(
                "DELETE FROM outbox WHERE sink = ? AND id <= (SELECT id FROM outbox WHERE sink = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (sink, sink, limit),
            ).rowcount

    def outbox(self, sink: str) -> tuple[int, str] | None:
        """Number and body of a sink's oldest message."""
        with self._lock, self._reading("outbox"):
            return self._database.execute("SELECT id, body FROM outbox WHERE sink = ? ORDER BY id LIMIT 1", (sink,)).fetchone()

    def outbox_size(self, sink: str) -> int:
        """How many messages of a sink wait."""
        with self._lock, self._reading("outbox"):
            return self._database.execute("SELECT count(*) FROM outbox WHERE sink = ?", (sink,)).fetchone()[0]

    def posted(self, message: int) -> None:
        """Takes a message out of its outbox."""
        with self._lock, self._transaction("outbox"):
            self._database.execute("DELETE FROM outbox WHERE id = ?", (message,))

    # ---- inside ----

    def _transaction(self, what: str) -> Guard:
        return Guard(self._database, what, writes=True)

    def _reading(self, what: str) -> Guard:
        return Guard(self._database, what, writes=False)

    def _label_of(self, event: int) -> Label | None:
        with self._reading("labels"):
            row = self._database.execute(f"SELECT {_LABEL_COLUMNS} FROM labels WHERE event = ?", (event,)).fetchone()
        return None if row is None else Label(*row)

    def _insert_label(self, label: Label) -> None:
        values = (label.id, label.event, label.time, label.input, label.pack, label.label, label.verdict)
        self._database.execute(f"INSERT INTO labels ({_LABEL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _file(self, clip: int, target: str) -> None:
        row = self._database.execute("SELECT drawer FROM clips WHERE id = ?", (clip,)).fetchone()
        if row is not None and row[0] != target:
            self._clips.move(clip, row[0], target)
            self._database.execute("UPDATE clips SET drawer = ? WHERE id = ?", (target, clip))

    def _write_clip(self, clip: int, input_name: str, pcm: NDArray[np.int16], when: float, place: str) -> None:
        with self._transaction("clip"):
            self._make_room(2 * len(pcm) + 44)
            size = self._clips.write(clip, pcm, place)
            self._database.execute("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?)", (clip, when, input_name, size, place))
        self.clip_bytes, self.clips = self._totals()

    def _make_room(self, size: int) -> None:
        """Removes the oldest clips until `size` more bytes fit: fresh ones first, filed ones only for the budget's sake.

        The disk keeps a reserve, so that events can always be written however large the budget is. Raises OSError where it is used up.
        """
        budget, (used, _) = self.retention.budget_mb * 1e6, self._totals()
        disk = shutil.disk_usage(self._clips.folder)
        free, reserve = disk.free, min(_RESERVE_BYTES, disk.total // 8)
        rows = self._database.execute("SELECT id, drawer, bytes FROM clips ORDER BY drawer != ?, id", (FRESH,))
        for clip, place, length in rows.fetchall():
            if used + size <= budget and (free - size >= reserve or place != FRESH):
                break
            self._clips.remove(clip, place)
            self._database.execute("DELETE FROM clips WHERE id = ?", (clip,))
            used, free = used - length, free + length
        if free - size < reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def drop_oldest_clips(self, size: int) -> bool:
        """Frees disk space for events, which matter more; False where no fresh clip is left. Needs no space itself."""
        freed = 0
        with self._lock:
            for clip, place, length in self._clips.found():
                if freed >= size or place != FRESH:
                    break
                self._clips.remove(clip, place)
                freed += length
        return freed > 0

    def _totals(self) -> tuple[int, int]:
        return self._database.execute("SELECT ifnull(sum(bytes), 0), count(*) FROM clips").fetchone()

    def _prune(self) -> None:
        self._since_prune = 0
        for table, kept in (("events", self.retention.events), ("changes", _KEPT_CHANGES), ("labels", self.retention.events)):
            self._database.execute(f"DELETE FROM {table} WHERE id <= (SELECT id FROM {table} ORDER BY id DESC LIMIT 1 OFFSET ?)", (kept,))

    def _reconcile(self) -> None:
        """After a power cut: files without a row go, rows without a file go."""
        with self._lock, self._transaction("clips"):
            rows = {row[0]: row[1] for row in self._database.execute("SELECT id, drawer FROM clips").fetchall()}
            for clip, place, _ in list(self._clips.found()):
                if rows.get(clip) == place:
                    del rows[clip]
                elif clip in rows:  # moved, and then the power went
                    self._database.execute("UPDATE clips SET drawer = ? WHERE id = ?", (place, clip))
                    del rows[clip]
                else:
                    self._clips.remove(clip, place)
            self._database.executemany("DELETE FROM clips WHERE id = ?", [(clip,) for clip in rows])
            self._prune()


def _change_row(record: Changed | Noticed) -> tuple[float, str, str, str]:
    if isinstance(record, Noticed):
        return record.time, record.subject, _NOTICE, record.detail
    return record.time, record.input, record.status.value, record.detail
