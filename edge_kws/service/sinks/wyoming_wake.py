"""Wyoming's wake service: clients send audio, we say when a wake word is in it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioFormat, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Info, WakeModel, WakeProgram
from wyoming.wake import Detect, Detection, NotDetected

from edge_kws import __version__
from edge_kws.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from edge_kws.detector import Detector
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.service.config import WyomingConfig
from edge_kws.service.packs import LoadedPack

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

Send = Callable[[Event], Awaitable[None]]
SELF = Attribution(name="edge_kws", url="")
_MAX_CHANNELS = 8


class WakeService:
    """Gives every connection a detector of its own for the packs of all inputs.

    Attributes:
        delivered: detections sent.
        dropped: always 0.
    """

    def __init__(self, config: WyomingConfig, service: "Service") -> None:
        self._config = config
        self._service = service
        self.delivered = self.dropped = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do: clients come by themselves."""

    def stop(self) -> None:
        """Nothing to do."""

    def detail(self) -> str:
        """Always well."""
        return ""

    def connect(self, send: Send) -> "WakeSession":
        """A new connection."""
        return WakeSession(self, send)

    def packs(self) -> tuple[LoadedPack, ...]:
        """Every pack of every input, once, at the first input's threshold."""
        found: dict[str, LoadedPack] = {}
        for listening in self._service.inputs.values():
            for pack in listening.packs:
                if self._config.wants(pack.name):
                    found.setdefault(pack.name, pack)
        return tuple(found.values())

    def open_detector(self) -> Detector:
        """A detector for one connection."""
        packs = self.packs()
        detector = Detector([pack.pack for pack in packs])
        for pack in packs:
            detector.set_threshold(pack.name, pack.configured)
        return detector


class WakeSession:
    """One connection: `detect` says what to look for, `audio-start`, `audio-chunk` and `audio-stop` bring the audio."""

    def __init__(self, service: WakeService, send: Send) -> None:
        self._service = service
        self._send = send
        self._names: list[str] | None = None
        self._detector: Detector | None = None
        self._resampler = Resampler(SAMPLE_RATE_HZ)
        self._format: tuple[int, int, int] | None = None
        self._detected = False

    async def close(self) -> None:
        """The connection has gone."""

    def info(self) -> Info:
        """The wake words on offer."""
        return Info(wake=[wake_program(self._service.packs())])

    async def handle(self, event: Event) -> None:
        """Takes one event."""
        if Detect.is_type(event.type):
            self._names = Detect.from_event(event).names
        elif AudioStart.is_type(event.type):
            await self._begin(AudioStart.from_event(event))
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            if self._format is None:
                await self._begin(chunk)
            await self._listen(self._samples(chunk), chunk.timestamp)
        elif AudioStop.is_type(event.type) and self._format is not None:
            await self._listen(self._resampler.flush(), AudioStop.from_event(event).timestamp)
            if not self._detected:
                await self._send(NotDetected().event())
            self._format = None

    async def _begin(self, audio: AudioFormat) -> None:
        rate, width, channels = audio.rate, audio.width, audio.channels
        if width != 2 or not 1 <= channels <= _MAX_CHANNELS or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            found = f"{rate} Hz, {width} bytes, {channels} channels"
            await self._send(
                Error(text=f"expected {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz, 2 bytes, 1..{_MAX_CHANNELS} channels, found {found}").event()
            )
            raise ValueError(f"audio of {found}")
        detector = self._detector or await asyncio.get_running_loop().run_in_executor(None, self._service.open_detector)
        detector.position = 0
        detector.reset()
        self._detector = detector
        self._resampler = Resampler(rate, channels)
        self._format = rate, width, channels
        self._detected = False

    def _samples(self, chunk: AudioChunk) -> NDArray[np.int16]:
        if (chunk.rate, chunk.width, chunk.channels) != self._format:
            raise ValueError(f"audio of {self._format}, then of {(chunk.rate, chunk.width, chunk.channels)}")
        whole = len(chunk.audio) - len(chunk.audio) % (2 * chunk.channels)
        return self._resampler.process(np.frombuffer(chunk.audio[:whole], "<i2").astype(np.int16).reshape(-1, chunk.channels))

    async def _listen(self, pcm: NDArray[np.int16], timestamp: int | None) -> None:
        assert self._detector is not None
        for event in self._detector.process(pcm):
            if self._names and event.label not in self._names and event.model not in self._names:
                continue
            self._detected = True
            self._service.delivered += 1
            when = timestamp if timestamp is not None else event.end * 1000 // SAMPLE_RATE_HZ
            await self._send(Detection(name=event.label, timestamp=when).event())


def wake_program(packs: Iterable[LoadedPack]) -> WakeProgram:
    """What Home Assistant lists: every label that can fire."""
    models = {
        label: WakeModel(
            name=label,
            attribution=SELF,
            installed=True,
            description=f"{label} ({pack.name} {pack.pack.info.version})",
            version=pack.pack.info.version,
            languages=["en"],
            phrase=label,
        )
        for pack in packs
        for label, threshold in zip(pack.pack.labels, pack.pack.decoder.thresholds, strict=True)
        if threshold is not None
    }
    return WakeProgram(
        name="edge_kws",
        attribution=SELF,
        installed=True,
        description="Keyword spotting on the device",
        version=__version__,
        models=list(models.values()),
    )
