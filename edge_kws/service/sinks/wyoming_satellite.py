"""Wyoming's satellite: after a wake word, an input's audio goes to the server that asked for it, from before the word's end on."""

import asyncio
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Info
from wyoming.info import Satellite as SatelliteInfo
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.satellite import PauseSatellite, RunSatellite
from wyoming.vad import VoiceStopped
from wyoming.wake import Detection

from edge_kws import __version__
from edge_kws.audio.ring_buffer import Reader
from edge_kws.events import SAMPLE_RATE_HZ, Gap
from edge_kws.service.bus import Subscription
from edge_kws.service.config import WyomingConfig
from edge_kws.service.listening import Listening
from edge_kws.service.log import Level, log
from edge_kws.service.records import Heard
from edge_kws.service.sinks.wyoming_wake import SELF, Send, wake_program

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_FORMAT = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}
_CHUNK_SAMPLES = 1024
_POLL_S = 0.1
_SEND_S = 10.0


class Satellite:
    """Streams to the server that last said `run-satellite`.

    Attributes:
        delivered: interactions streamed.
        dropped: wake words that found no server.
    """

    def __init__(self, config: WyomingConfig, service: "Service") -> None:
        self._config = config
        self._service = service
        self._feed: Subscription = service.bus.subscribe()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._listen, name="sink wyoming satellite", daemon=True)
        self.active: SatelliteSession | None = None
        self.delivered = self.dropped = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to wait for wake words."""
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """Waits for none any more."""
        self._feed.close()
        if self._thread.is_alive():
            self._thread.join(5)

    def detail(self) -> str:
        """Whether a server is there."""
        return "" if self.active is not None else "no server has connected"

    def connect(self, send: Send) -> "SatelliteSession":
        """A new connection."""
        return SatelliteSession(self, send)

    @property
    def input(self) -> Listening | None:
        """The input that is streamed."""
        inputs = self._service.inputs
        return inputs.get(self._config.input) if self._config.input else next(iter(inputs.values()), None)

    def info(self) -> Info:
        """What Home Assistant sees of us."""
        listening = self.input
        packs = [pack for pack in (listening.packs if listening else ()) if self._config.wants(pack.name)]
        program = wake_program(packs)
        satellite = SatelliteInfo(
            name=f"edge_kws {listening.config.name if listening else ''}".strip(),
            attribution=SELF,
            installed=True,
            description="Keyword spotting on the device",
            version=__version__,
            has_vad=False,
            active_wake_words=[model.name for model in program.models],
            max_active_wake_words=len(program.models),
            supports_trigger=False,
        )
        return Info(wake=[program], satellite=satellite)

    def _listen(self) -> None:
        while (record := self._feed.get()) is not None or not self._feed.closed:
            listening = self.input
            if isinstance(record, Heard) and listening and record.input == listening.config.name and self._config.wants(record.pack):
                assert self._loop is not None
                asyncio.run_coroutine_threadsafe(self._wake(record, listening), self._loop)

    async def _wake(self, event: Heard, listening: Listening) -> None:
        session = self.active
        if session is None:
            self.dropped += 1
            log(Level.WARNING, f"sink wyoming: {event.label} heard, and no server has connected")
        elif session.begin(event, listening, self._config):
            self.delivered += 1


class SatelliteSession:
    """One connection."""

    def __init__(self, satellite: Satellite, send: Send) -> None:
        self._satellite = satellite
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._enough = False

    def info(self) -> Info:
        """What Home Assistant sees of us."""
        return self._satellite.info()

    async def close(self) -> None:
        """The connection has gone."""
        if self._satellite.active is self:
            self._satellite.active = None
        self._enough = True
        if self._task is not None:
            self._task.cancel()

    async def handle(self, event: Event) -> None:
        """Takes one event: who wants audio, and who has heard enough. Speech to be played is not for us: there is no loudspeaker here."""
        if RunSatellite.is_type(event.type):
            self._satellite.active = self
        elif PauseSatellite.is_type(event.type):
            if self._satellite.active is self:
                self._satellite.active = None
            self._enough = True
        elif any(kind.is_type(event.type) for kind in (Transcript, VoiceStopped, Error)):
            self._enough = True

    def begin(self, event: Heard, listening: Listening, config: WyomingConfig) -> bool:
        """Streams after a wake word; False while the last one is still being streamed."""
        if self._task is not None and not self._task.done():
            return False
        self._enough = False
        reader = listening.ring.reader()
        reader.position = max(event.end - round(config.before_s * SAMPLE_RATE_HZ), listening.ring.oldest, 0)
        end = event.end + round(config.listen_s * SAMPLE_RATE_HZ)
        self._task = asyncio.get_running_loop().create_task(self._stream(event, reader, end))
        return True

    async def _stream(self, event: Heard, reader: Reader, end: int) -> None:
        try:
            async with asyncio.timeout((end - reader.position) / SAMPLE_RATE_HZ + _SEND_S):
                await self._send(Detection(name=event.label, timestamp=round(event.time * 1000)).event())
                run = RunPipeline(start_stage=PipelineStage.ASR, end_stage=PipelineStage.HANDLE, wake_word_name=event.label)
                await self._send(run.event())
                await self._send(AudioStart(**_FORMAT, timestamp=0).event())
                start = reader.position
                while reader.position < end and not self._enough:
                    await self._forward(reader, start, end)
                await self._send(AudioStop(timestamp=_ms(reader.position - start)).event())
        except (OSError, TimeoutError) as error:
            log(Level.WARNING, f"sink wyoming: the server does not take the audio ({type(error).__name__})")
        finally:
            reader.close()

    async def _forward(self, reader: Reader, start: int, end: int) -> None:
        at = reader.position
        count = min(_CHUNK_SAMPLES, end - at)
        block = await asyncio.get_running_loop().run_in_executor(None, reader.read, count, _POLL_S)
        if block is None:
            return
        pcm = _silence(min(block.end, end) - block.start) if isinstance(block, Gap) else block
        await self._send(AudioChunk(audio=pcm.astype("<i2").tobytes(), timestamp=_ms(at - start), **_FORMAT).event())


def _silence(samples: int) -> NDArray[np.int16]:
    """In place of what was lost, so that times stay right; of a long loss, as much as is still wanted."""
    return np.zeros(max(0, samples), np.int16)


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE_HZ
