"""Runs a program for each event: an argument list, never shell text."""

import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.service.clips import wav_bytes
from edge_kws.service.config import CommandConfig
from edge_kws.service.log import Level, log
from edge_kws.service.records import Heard, Record, SinkState
from edge_kws.service.sinks.worker import Worker

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_AT_ONCE = 4
_WAITING = 16


class CommandSink:
    """Starts `command` with the event as JSON in EDGE_KWS_EVENT and, where asked for, its audio as WAV on standard input.

    At most four run at once and sixteen wait; beyond that events are dropped, counted. A program that takes longer than `timeout_s` is
    killed with everything it started.
    """

    def __init__(self, config: CommandConfig, service: "Service") -> None:
        self._config = config
        self._service = service
        self._worker = Worker("command", service.bus, self._accept, lambda record: isinstance(record, Heard) and config.wants(record.pack))
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sink command")
        self._room = threading.BoundedSemaphore(_AT_ONCE + _WAITING)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = False

    def start(self) -> None:
        """Begins."""
        self._worker.start()

    def stop(self) -> None:
        """Takes no more events, and ends the programs that still run."""
        self._worker.stop()
        self._stopping = True
        with self._lock:
            for process in self._running:
                _kill(process)
        self._pool.shutdown(cancel_futures=True)

    def state(self) -> SinkState:
        """How the sink is now."""
        return self._worker.state()

    def _accept(self, record: Record) -> None:
        assert isinstance(record, Heard)
        if not self._room.acquire(blocking=False):
            raise RuntimeError(f"{_AT_ONCE + _WAITING} programs already run or wait")
        before, after = (round(seconds * SAMPLE_RATE_HZ) for seconds in (self._config.before_s, self._config.after_s))
        listening = self._service.inputs.get(record.input)
        if before + after == 0 or listening is None:
            self._pool.submit(self._run, record, None)
        else:
            listening.when_heard(record.end - before, record.end + after, lambda _, pcm: self._submit(record, pcm))

    def _submit(self, event: Heard, pcm: NDArray[np.int16]) -> None:
        if not self._stopping:
            self._pool.submit(self._run, event, pcm)

    def _run(self, event: Heard, pcm: NDArray[np.int16] | None) -> None:
        try:
            self._report(self._outcome(event, pcm))
        finally:
            self._room.release()

    def _outcome(self, event: Heard, pcm: NDArray[np.int16] | None) -> str:
        """Runs the program; returns what went wrong, or nothing."""
        environment = {**os.environ, "EDGE_KWS_EVENT": json.dumps(event.to_json())}
        environment.pop("NOTIFY_SOCKET", None)
        program = self._config.command[0]
        stdin = subprocess.DEVNULL if pcm is None else subprocess.PIPE
        try:
            process = subprocess.Popen(
                self._config.command,
                env=environment,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return f"{program} cannot be started: {error.strerror}"
        with self._lock:
            self._running.add(process)
        try:
            process.communicate(None if pcm is None else wav_bytes(pcm), timeout=self._config.timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            return f"{program} ran longer than {self._config.timeout_s:g} s and was killed"
        finally:
            with self._lock:
                self._running.discard(process)
        return "" if process.returncode == 0 or self._stopping else f"{program} ended with status {process.returncode}"

    def _report(self, detail: str) -> None:
        if detail and detail != self._worker.detail:
            log(Level.WARNING, f"sink command: {detail}")
        self._worker.detail = detail


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
