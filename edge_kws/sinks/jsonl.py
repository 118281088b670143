"""Events as JSON, one object a line: for programs that read `edge-kws listen --jsonl`."""

import json
from types import TracebackType
from typing import Self, TextIO

from edge_kws.events import Event, Gap


class JsonlSink:
    """Writes each event and gap as one line of JSON and flushes it, so that a reader sees it at once.

    `{"type": "event", "model", "label", "score" 0..1, "start", "end" (16 kHz samples), "time_s"}` or
    `{"type": "gap", "start", "end", "reason"}`.

    Args:
        stream: text stream; it is not closed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def event(self, event: Event) -> None:
        """Write one detection."""
        self._write(
            {
                "type": "event",
                "model": event.model,
                "label": event.label,
                "score": round(event.score, 6),
                "start": event.start,
                "end": event.end,
                "time_s": event.time_s,
            }
        )

    def gap(self, gap: Gap) -> None:
        """Write one stretch of lost audio."""
        self._write({"type": "gap", "start": gap.start, "end": gap.end, "reason": gap.reason})

    def _write(self, record: dict[str, str | int | float]) -> None:
        self._stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        self._stream.flush()
