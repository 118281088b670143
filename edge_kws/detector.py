"""The device flow on one screen: source -> front end -> model runners -> decoders -> events."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.source import AudioSource
from edge_kws.decoder import Decoder
from edge_kws.errors import ConfigError
from edge_kws.events import Event, Gap
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws.runners import ModelRunner
from edge_kws.runners.choose import open_runner
from edge_kws.runners.litert import LiteRtRunner


def _runner(pack: Pack, reference: bool) -> ModelRunner:
    return LiteRtRunner(pack.model, reference=True) if reference else open_runner(pack.model, pack.inference_stride_hops, exact=False)


class _Listener:
    """One pack at work: its runner's stream and its decoder."""

    def __init__(self, pack: Pack, runner: ModelRunner) -> None:
        self.pack = pack
        self.decoder = Decoder(pack.decoder)
        self._stream = runner.stream(pack.inference_stride_hops)
        self._next = 0

    def reset(self) -> None:
        self.decoder.reset()
        self._stream.reset()
        self._next = 0

    def process(self, features: NDArray[np.int8]) -> Iterator[tuple[str, float, int]]:
        """Features (frames, mel_bins) that follow the last ones -> (label, score, last frame) of each detection."""
        # Window n covers frames n * stride .. n * stride + length - 1 since reset, whatever the chunks.
        for posteriors in self._stream.process(features):
            last_frame = self._next * self.pack.inference_stride_hops + self.pack.window_frames - 1
            for detection in self.decoder.process(posteriors[np.newaxis]):
                yield self.pack.labels[detection.class_index], detection.score, last_frame
            self._next += 1


class Detector:
    """Streams 16 kHz PCM through one front end into any number of packs.

    Args:
        packs: at least one; all with the same front-end window and hop.
        reference: run LiteRT's reference kernels (slow) instead of compiled C, which gives the same bytes.
        observer: called after each block, for displays.
        on_gap: called for each piece of lost audio.

    Raises:
        ConfigError: no pack, or two of the same name.
        FrontendError: front ends whose windows or hops differ.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        *,
        reference: bool = False,
        observer: "Callable[[Detector], None] | None" = None,
        on_gap: Callable[[Gap], None] | None = None,
    ) -> None:
        names = [pack.info.name for pack in packs]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"detector: expected one pack or several of different names, found {', '.join(names) or 'none'}")
        self.packs = tuple(packs)
        self.observer = observer
        self.on_gap = on_gap
        self.gaps: list[Gap] = []
        self.position = 0
        self.level_dbfs = -np.inf
        self._banks: list[FrontendConfig] = []
        for pack in packs:
            if pack.frontend not in self._banks:
                self._banks.append(pack.frontend)
        self._frontend = Frontend(*self._banks)
        self._listeners = [_Listener(pack, _runner(pack, reference)) for pack in packs]
        self._origin = 0

    @classmethod
    def from_pack(cls, *packs: str | Path) -> Self:
        """Loads packs by shipped name or path.

        Raises:
            PackError: a pack that is missing or damaged.
        """
        return cls([Pack.load(pack) for pack in packs])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all audio; the next sample keeps its position. Silent until the windows are full again."""
        self._frontend.reset()
        for listener in self._listeners:
            listener.reset()
        self._origin = self.position

    def skip(self, gap: Gap) -> None:
        """Counts lost audio, moves past it and resets: features across a gap would be of sound that never was."""
        self.gaps.append(gap)
        self.position = gap.end
        self.reset()
        if self.on_gap is not None:
            self.on_gap(gap)

    def process(self, pcm: NDArray[np.int16]) -> list[Event]:
        """Consumes PCM (samples,) int16, 16 kHz, any number of samples; returns the events it completes, in order of time."""
        banks = self._frontend.process(pcm)
        self.position += len(pcm)
        events: list[Event] = []
        for listener in self._listeners:
            features = banks[self._banks.index(listener.pack.frontend)]
            for label, score, last_frame in listener.process(features):
                first_frame = last_frame - listener.pack.window_frames + 1
                start = self._origin + first_frame * listener.pack.frontend.hop_samples
                end = self._origin + listener.pack.frontend.frame_end(last_frame)
                events.append(Event(listener.pack.info.name, label, score, start, end))
        self._measure_level(pcm)
        if self.observer is not None:
            self.observer(self)
        return sorted(events, key=lambda event: event.end)

    def listen(self, source: AudioSource) -> Iterator[Event]:
        """Runs a source to its end; gaps go to `on_gap` and `gaps`.

        Raises:
            AudioError: the source failed; what it delivered before was processed.
        """
        with source:
            for block in source.blocks():
                if isinstance(block, Gap):
                    self.skip(block)
                else:
                    yield from self.process(block)

    def scores(self) -> dict[str, NDArray[np.float32]]:
        """Smoothed posteriors (classes,) 0..1 of each pack, by its name; zeros until its window is full."""
        return {listener.pack.info.name: listener.decoder.smoothed() for listener in self._listeners}

    def _measure_level(self, pcm: NDArray[np.int16]) -> None:
        if len(pcm):
            power = float(np.mean(np.square(pcm, dtype=np.float64)))
            self.level_dbfs = 10 * np.log10(power / 32768**2) if power > 0 else -np.inf
