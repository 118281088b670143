"""One input: source -> ring buffer -> detector -> bus, in a thread of its own that never gives up on its source."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.microphone import Microphone
from edge_kws.audio.ring_buffer import RingBuffer
from edge_kws.audio.source import AudioSource
from edge_kws.detector import Detector
from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ, Event, Gap
from edge_kws.service.bus import EventBus
from edge_kws.service.config import InputConfig, StdinConfig
from edge_kws.service.overload import Overload
from edge_kws.service.packs import LoadedPack
from edge_kws.service.records import Changed, Heard, InputState, InputStatus, Lost
from edge_kws.service.sources import Doorkeeper
from edge_kws.service.view import Columns, Spectrogram, pack_state

RING_S = 70.0
"""How far back audio can be asked for; always in RAM only."""
STALL_S = 5.0
"""Without a block for this long an input counts as not heard."""
_RETRY_S = (0.2, 0.5, 1.0, 2.0)  # then every 3 s
_LAST_RETRY_S = 3.0
_LOOK_EVERY_S = 10.0
_MAX_SILENT_REOPEN_S = 600.0

Deliver = Callable[[int, NDArray[np.int16]], None]
"""Takes the position of the first sample, and the samples."""


@dataclass(frozen=True, slots=True)
class _Request:
    start: int
    end: int
    deliver: Deliver


class Listening:
    """Listens to one input until stopped.

    Args:
        config: the input.
        packs: what it detects.
        open_source: makes the source, anew each time it is opened.
        doorkeeper: shared by all inputs of the process.
        bus: where events, gaps and status changes go.
        new_id: numbers events.

    Attributes:
        ring: the last `RING_S` seconds, by position, gaps included.
        progress: `time.monotonic()` of the last sign of life of the thread: a block, or an attempt to open the source that came to an end.
        last_audio: `time.monotonic()` of the last block, None before the first.
    """

    def __init__(
        self,
        config: InputConfig,
        packs: tuple[LoadedPack, ...],
        open_source: Callable[[], AudioSource],
        doorkeeper: Doorkeeper,
        bus: EventBus,
        new_id: Callable[[], int],
    ) -> None:
        self.config = config
        self.packs = packs
        self.ring = RingBuffer(round(RING_S * SAMPLE_RATE_HZ))
        self.progress = time.monotonic()
        self.last_audio: float | None = None
        self._open_source = open_source
        self._doorkeeper = doorkeeper
        self._bus = bus
        self._new_id = new_id
        self._detector = Detector([pack.pack for pack in packs])
        self._thresholds: dict[str, float] = {}  # what people set
        for pack in packs:
            self._detector.set_threshold(pack.name, pack.configured)
        self._overload = Overload({pack.name: pack.priority for pack in packs})
        self._status, self._detail, self._since = InputStatus.STARTING, "", time.time()
        self._status_lock = threading.Lock()
        self._source: AudioSource | None = None
        self._source_text = config.source
        self._overruns = self._laps = self._lost = self._reconnects = self._events = 0
        self._failures = 0
        self._looked = 0.0
        self._silent_samples = 0
        self._reopen_silent_at = round(config.silence_s * SAMPLE_RATE_HZ)
        self._requests: tuple[_Request, ...] = ()
        self._request_lock = threading.Lock()
        self._spectrogram = Spectrogram()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"input {config.name}", daemon=True)

    # ---- from other threads ----

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends the thread; one that hangs in a driver is left behind."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def set_threshold(self, pack: str, threshold: float | None) -> None:
        """Puts a threshold, 0..1, in force at once; None: the config's, or the pack's own."""
        if threshold is None:
            self._thresholds.pop(pack, None)
            threshold = next(loaded.configured for loaded in self.packs if loaded.name == pack)
        else:
            self._thresholds[pack] = threshold
        self._detector.set_threshold(pack, threshold)

    def when_heard(self, start: int, end: int, deliver: Deliver) -> None:
        """Hands samples [start, end) to `deliver` as soon as the last has been heard; usually in the input's thread: it must not wait.

        What is no longer in the ring, and what a source that failed never delivered, is left out; lost samples are zeros.
        """
        with self._request_lock:
            self._requests = (*self._requests, _Request(start, end, deliver))
        self._settle_requests(force=self._status in (InputStatus.ENDED, InputStatus.STOPPED))

    @property
    def status(self) -> InputStatus:
        """How the input is now."""
        return self._status

    def check_stall(self) -> None:
        """Notices a source that neither delivers nor fails, such as a pipe whose writer hangs. For a thread that looks every second."""
        heard = self._status in (InputStatus.LISTENING, InputStatus.SILENT)
        if heard and self.last_audio is not None and time.monotonic() - self.last_audio > STALL_S:
            self._become(InputStatus.AWAY, f"no audio for {STALL_S:.0f} s")

    def state(self) -> InputState:
        """How the input is now."""
        last, level = self.last_audio, self._detector.level_dbfs
        scores = self._detector.scores()
        return InputState(
            name=self.config.name,
            source=self._source_text,
            status=self._status,
            detail=self._detail,
            since=self._since,
            seconds_since_audio=None if last is None else max(0.0, time.monotonic() - last),
            level_dbfs=level if np.isfinite(level) else None,
            position=self._detector.position,
            load=self._overload.load,
            overruns=self._overruns,
            laps=self._laps,
            lost_samples=self._lost,
            reconnects=self._reconnects,
            events=self._events,
            packs=tuple(pack_state(pack, scores[pack.name], self._thresholds.get(pack.name), self._overload) for pack in self.packs),
        )

    def columns(self, after: int = -1) -> Columns:
        """The spectrogram after column `after`, at most the last minute."""
        return self._spectrogram.columns(after)

    # ---- in the thread ----

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._listen_once():
                    self._become(InputStatus.ENDED, "the source came to its end; start the service again to hear more")
                    self._settle_requests(force=True)
                    return
            except AudioError as error:
                if isinstance(self.config, StdinConfig):  # there is no second one
                    self._become(InputStatus.ENDED, str(error))
                    return
                self._lose(str(error))
            except Exception as error:  # a defect of ours or of a driver must not leave the input deaf for ever
                self._lose(f"unexpected {type(error).__name__}: {error}")
            self._settle_requests(force=True)
            self.progress = time.monotonic()
        self._become(InputStatus.STOPPED, "")

    def _listen_once(self) -> bool:
        """Opens the source and listens; True when it came to its end, False when it should be opened again."""
        source = self._open_source()
        with self._doorkeeper.opened(source) as generation:
            self._source, self._source_text = source, source.description
            self._reconnects += self._detector.position > 0
            first = True
            for block in source.blocks():
                if first:
                    self._account_absence(block)
                    first = False
                self._take(block)
                if self._stopping.is_set() or self._doorkeeper.generation != generation:
                    return False
                if self._silent_samples >= self._reopen_silent_at:
                    self._reopen_silent_at += round(min(self._silent_samples, _MAX_SILENT_REOPEN_S * SAMPLE_RATE_HZ))
                    return False
        return True

    def _lose(self, reason: str) -> None:
        """The source failed: say so once, wait longer each time."""
        wait = _RETRY_S[self._failures] if self._failures < len(_RETRY_S) else _LAST_RETRY_S
        self._failures += 1
        self._become(InputStatus.AWAY, reason)
        self._stopping.wait(wait)
        self.progress = time.monotonic()
        if self._failures >= len(_RETRY_S) and time.monotonic() - self._looked > _LOOK_EVERY_S:
            self._doorkeeper.look_again(self.config)
            self._looked = time.monotonic()

    def _account_absence(self, block: NDArray[np.int16] | Gap) -> None:
        """Positions go on while nothing is heard: what passed since the last block is a gap."""
        if self.last_audio is not None:
            heard = block.end - block.start if isinstance(block, Gap) else len(block)
            missing = round((time.monotonic() - self.last_audio) * SAMPLE_RATE_HZ) - heard
            self._skip(max(1, missing), "the source was away")

    def _take(self, block: NDArray[np.int16] | Gap) -> None:
        now = time.monotonic()
        self.progress = self.last_audio = now
        self._failures = 0
        if isinstance(block, Gap):
            self._skip(block.end - block.start, block.reason)
            return
        self._watch_silence(block)
        self.ring.write(block)
        events = self._detector.process(block)
        self._spectrogram.add(self._detector.features)
        for event in events:
            self._publish(event)
        self._settle_requests()
        self._shed(now, len(block))

    def _skip(self, samples: int, reason: str) -> None:
        position = self._detector.position
        self.ring.write_gap(samples, reason)
        self._detector.skip(Gap(position, position + samples, reason))
        self._detector.gaps.clear()
        self._lost += samples
        if isinstance(self._source, Microphone):
            self._overruns, self._laps = self._source.overruns, self._source.laps
        self._bus.publish(Lost(time.time(), self.config.name, position, position + samples, reason))

    def _publish(self, event: Event) -> None:
        self._events += 1
        behind = (self._detector.position - event.end + self._backlog()) / SAMPLE_RATE_HZ
        pack = next(pack for pack in self.packs if pack.name == event.model)
        self._bus.publish(
            Heard(
                id=self._new_id(),
                time=time.time() - behind,
                input=self.config.name,
                pack=event.model,
                task=pack.pack.info.task,
                label=event.label,
                score=event.score,
                threshold=pack.threshold_of(event.label, self._thresholds.get(pack.name)),
                start=event.start,
                end=event.end,
            )
        )

    def _watch_silence(self, block: NDArray[np.int16]) -> None:
        if len(block) and block.min() != block.max():
            self._silent_samples = 0
            self._reopen_silent_at = round(self.config.silence_s * SAMPLE_RATE_HZ)
            self._become(InputStatus.LISTENING, "")
            return
        self._silent_samples += len(block)
        if self._silent_samples < self.config.silence_s * SAMPLE_RATE_HZ:
            self._become(InputStatus.LISTENING, "")
        else:
            self._become(InputStatus.SILENT, "nothing but digital silence (muted?); the source is opened again from time to time")

    def _become(self, status: InputStatus, detail: str) -> None:
        if status == InputStatus.LISTENING and self._overload.shed:
            detail = f"too slow: switched off {', '.join(self._overload.shed)}"
        with self._status_lock:
            if (status, detail) == (self._status, self._detail):
                return
            if status != self._status:
                self._since = time.time()
            self._status, self._detail = status, detail
        self._bus.publish(Changed(time.time(), self.config.name, status, detail))

    def _shed(self, now: float, samples: int) -> None:
        for name, paused in self._overload.step(time.monotonic() - now, samples, self._backlog(), self._detector.cpu_s):
            (self._detector.pause if paused else self._detector.resume)(name)

    def _backlog(self) -> int:
        return self._source.backlog_samples if isinstance(self._source, Microphone) else 0

    def _settle_requests(self, force: bool = False) -> None:
        if not self._requests:
            return
        with self._request_lock:
            due = [request for request in self._requests if force or request.end <= self.ring.position]
            self._requests = tuple(request for request in self._requests if request not in due)
        for request, span in self._spans(due):
            request.deliver(*span)

    def _spans(self, requests: list[_Request]) -> Iterator[tuple[_Request, tuple[int, NDArray[np.int16]]]]:
        for request in requests:
            start = max(request.start, self.ring.oldest, 0)
            end = min(request.end, self.ring.position)
            yield request, (start, self.ring.span(start, end) if end > start else np.zeros(0, np.int16))
