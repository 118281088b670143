"""The journal: one line a message on standard error, with systemd's priority prefix when it reads them."""

import os
import sys
import threading
from enum import IntEnum

_JOURNAL = "JOURNAL_STREAM" in os.environ
_LOCK = threading.Lock()


class Level(IntEnum):
    """As in syslog."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


def log(level: Level, text: str) -> None:
    """Writes one line; control characters in it become spaces."""
    line = "".join(c if c.isprintable() else " " for c in text)[:1000]
    with _LOCK:
        sys.stderr.write(f"<{level.value}>{line}\n" if _JOURNAL else f"edge-kws: {line}\n")
        sys.stderr.flush()
