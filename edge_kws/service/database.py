"""The daemon's SQLite database: opening it after whatever happened, and its schema, migrated step by step."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from edge_kws.errors import ConfigError, StoreError

_ROOM_BYTES = 262_144  # with less, SQLite's own files find no room

# Step n takes a database of version n to n + 1. Never edit one that was released: add another.
MIGRATIONS = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        input TEXT NOT NULL,
        pack TEXT NOT NULL,
        task TEXT NOT NULL,
        label TEXT NOT NULL,
        score REAL NOT NULL,
        threshold REAL NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL
    );
    CREATE TABLE clips (
        id INTEGER PRIMARY KEY, -- that of its event, or of the label that says what was missed
        time REAL NOT NULL,
        input TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        drawer TEXT NOT NULL
    );
    CREATE TABLE labels (
        id INTEGER PRIMARY KEY,
        event INTEGER,
        time REAL NOT NULL,
        input TEXT NOT NULL,
        pack TEXT NOT NULL,
        label TEXT NOT NULL,
        verdict TEXT NOT NULL
    );
    CREATE UNIQUE INDEX labels_by_event ON labels (event);
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        input TEXT NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sink TEXT NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX outbox_by_sink ON outbox (sink, id);
    CREATE TABLE thresholds (
        input TEXT NOT NULL,
        pack TEXT NOT NULL,
        threshold REAL NOT NULL,
        PRIMARY KEY (input, pack)
    );
    """,
)


def open_database(path: Path) -> sqlite3.Connection:
    """Opens or makes the database, WAL, brought to the newest schema. A connection for one thread at a time.

    A file that is damaged beyond use is set aside as `NAME.damaged`, and a new one made.

    Raises:
        ConfigError: the folder cannot be written, or the database is of a newer version of edge_kws.
        StoreError: the disk is full or broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # locked, full, not permitted: the file itself may be well
            _set_aside(path)
            return _open(path)
    except (OSError, sqlite3.Error) as error:
        found = getattr(error, "strerror", None) or error
        if _disk_at_fault(path, error):
            raise StoreError(f"{path}: expected a disk with room, found: {found}; free space") from None
        raise ConfigError(f"{path}: expected a database that can be written, found: {found}; set state_folder") from None


def open_in_memory() -> sqlite3.Connection:
    """A database of the same schema that lasts as long as the process: for as long as the disk takes nothing."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(connection, Path(":memory:"))
    return connection


def copy_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Adds what `source` holds to `target`, whose own rows stay. Clips are left out: they are files."""
    for table in ("events", "labels", "changes", "outbox", "thresholds"):
        rows = source.execute(f"SELECT * FROM {table}").fetchall()
        if rows:
            target.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _disk_at_fault(path: Path, error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT)
    try:
        return shutil.disk_usage(path.parent).free < _ROOM_BYTES or bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return True


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit is on the disk when it returns. Events are rare enough to afford it.
        connection.execute("PRAGMA synchronous = FULL")
        # The write-ahead log stays below half a megabyte: a full disk must not be of our making.
        connection.execute("PRAGMA wal_autocheckpoint = 100")
        connection.execute("PRAGMA journal_size_limit = 524288")
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{path}: expected a database of version {len(MIGRATIONS)} or older, found {version}; upgrade edge_kws or set state_folder"
        )
    for step in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE;\n{MIGRATIONS[step]};\nPRAGMA user_version = {step + 1};\nCOMMIT;")


def _set_aside(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.replace(file.with_name(f"{path.name}.damaged{suffix}"))


class Guard:
    """A transaction that is committed or rolled back; errors of database and disk become StoreError."""

    def __init__(self, database: sqlite3.Connection, what: str, *, writes: bool) -> None:
        self._database, self._what, self._writes = database, what, writes

    def __enter__(self) -> None:
        if self._writes:
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise self._refusal(error) from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._writes and self._database.in_transaction:
                self._database.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as failure:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise self._refusal(failure) from None
        if isinstance(error, sqlite3.Error | OSError):
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> StoreError:
        found = getattr(error, "strerror", None) or error
        return StoreError(f"store: {self._what}: expected a disk that takes them, found: {found}; free space, or set state_folder")
