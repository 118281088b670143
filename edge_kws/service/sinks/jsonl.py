"""Records as JSON, one object a line, on standard output or in a file that never outgrows its limit."""

import json
import sys
from typing import TYPE_CHECKING, TextIO

from edge_kws.errors import ConfigError
from edge_kws.service.config import JsonlConfig
from edge_kws.service.records import Heard, Record, SinkState
from edge_kws.service.sinks.worker import Worker

if TYPE_CHECKING:
    from edge_kws.service.engine import Service


class JsonlSink:
    """Writes every record as it comes. A file that reaches `max_bytes` becomes `PATH.1`, in place of an older one."""

    def __init__(self, config: JsonlConfig, service: "Service") -> None:
        self._config = config
        self._worker = Worker("jsonl", service.bus, self._deliver, self._wants)
        self._file: TextIO | None = None

    def start(self) -> None:
        """Opens the file. Raises ConfigError where that cannot be."""
        if self._config.path is not None:
            try:
                self._file = self._config.path.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f"{self._config.path}: expected a file that can be appended to, found {error.strerror}; correct `path`"
                ) from None
        self._worker.start()

    def stop(self) -> None:
        """Writes what waits and closes the file."""
        self._worker.stop()
        if self._file is not None:
            self._file.close()

    def state(self) -> SinkState:
        """How the sink is now."""
        return self._worker.state()

    def _wants(self, record: Record) -> bool:
        return not isinstance(record, Heard) or self._config.wants(record.pack)

    def _deliver(self, record: Record) -> None:
        line = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
        path = self._config.path
        if self._file is not None and path is not None and self._file.tell() + len(line) > self._config.max_bytes:
            self._file.close()
            path.replace(path.with_name(path.name + ".1"))
            self._file = path.open("a", encoding="utf-8")
        stream = sys.stdout if self._file is None else self._file
        stream.write(line)
        stream.flush()
