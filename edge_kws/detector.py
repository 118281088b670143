"""The device flow on one screen: source -> front end -> model runners -> decoders -> events."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.source import AudioSource
from edge_kws.decoder import Decoder
from edge_kws.errors import AudioError, ConfigError
from edge_kws.events import Event, Gap
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws.runners import ModelRunner
from edge_kws.runners.choose import open_runner
from edge_kws.runners.litert import LiteRtRunner


def _runner(pack: Pack, reference: bool) -> ModelRunner:
    return LiteRtRunner(pack.model, reference=True) if reference else open_runner(pack.model, pack.inference_stride_hops, exact=False)


class _Listener:
    """One pack at work: its runner's stream and its decoder. `bank` is its filter bank's number in the front end.

    `origin` is the position of its first sample since reset, `cpu_ns` the time its model and decoder took so far.
    """

    def __init__(self, pack: Pack, frontend: FrontendConfig, bank: int, runner: ModelRunner) -> None:
        self.name = pack.info.name
        self.labels = pack.labels
        self.window_frames = pack.window_frames
        self.frontend = frontend
        self.bank = bank
        self.decoder = Decoder(pack.decoder)
        self._stride = pack.inference_stride_hops
        self._stream = runner.stream(self._stride)
        self.origin = 0
        self.paused = False
        self.cpu_ns = 0

    def reset(self, origin: int) -> None:
        self.decoder.reset()
        self._stream.reset()
        self.origin = origin

    def process(self, features: NDArray[np.int8]) -> Iterator[tuple[str, float, int]]:
        """Features (frames, mel_bins) that follow the last ones -> (label, score, last frame) of each detection."""
        # Window n, whose posteriors are the decoder's step n, covers frames n * stride .. n * stride + length - 1 since reset.
        for detection in self.decoder.process(self._stream.process(features)):
            yield self.labels[detection.class_index], detection.score, detection.step * self._stride + self.window_frames - 1


class Detector:
    """Streams 16 kHz PCM through one front end into any number of packs.

    Args:
        packs: at least one; all with the same front-end window and hop.
        reference: run LiteRT's reference kernels (slow) instead of compiled C, which gives the same bytes.
        observer: called after each block, for displays.
        on_gap: called for each piece of lost audio.

    Attributes:
        position: samples heard or lost since start; the next sample's position.
        gaps: every piece of lost audio.
        failed_sources: how often a source ended in an error, such as a microphone that vanished.
        features: those of the last block, (frames, mel_bins) int8, as the first pack sees them.

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
        self.failed_sources = 0
        self.position = 0
        self._last_block = np.zeros(0, np.int16)
        configs = [pack.frontend for pack in packs]
        banks = list(dict.fromkeys(configs))  # packs with equal settings share a filter bank, all of them the FFT
        self._frontend = Frontend(*banks)
        self._listeners = [
            _Listener(pack, config, banks.index(config), _runner(pack, reference)) for pack, config in zip(packs, configs, strict=True)
        ]
        self._by_name = {listener.name: listener for listener in self._listeners}
        self._frames = 0
        self._origin = 0
        self.features = np.zeros((0, banks[0].mel_bins), np.int8)

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
        self._frames = 0
        self._origin = self.position
        for listener in self._listeners:
            listener.reset(self.position)

    def pause(self, pack: str) -> None:
        """Spends no more time on a pack, by name, until `resume`; the others go on."""
        self._by_name[pack].paused = True

    def resume(self, pack: str) -> None:
        """Lets a paused pack listen again, from now on, with nothing remembered."""
        listener = self._by_name[pack]
        if listener.paused:
            listener.reset(self._origin + self._frames * listener.frontend.hop_samples)
            listener.paused = False

    def set_threshold(self, pack: str, threshold: float | None) -> None:
        """Sets the threshold, 0..1, of every class of a pack that can fire, from the next posterior on; None: each its own again."""
        self._by_name[pack].decoder.set_threshold(threshold)

    def cpu_s(self, pack: str) -> float:
        """Seconds of processor time that a pack's model and decoder have taken."""
        return self._by_name[pack].cpu_ns / 1e9

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
        self.features = banks[self._listeners[0].bank]
        events: list[Event] = []
        for listener in self._listeners:
            if listener.paused:
                continue
            began = time.thread_time_ns()
            for label, score, last_frame in listener.process(banks[listener.bank]):
                first_frame = last_frame - listener.window_frames + 1
                start = listener.origin + first_frame * listener.frontend.hop_samples
                end = listener.origin + listener.frontend.frame_end(last_frame)
                events.append(Event(listener.name, label, score, start, end))
            listener.cpu_ns += time.thread_time_ns() - began
        self._frames += len(self.features)
        self._last_block = pcm
        if self.observer is not None:
            self.observer(self)
        return sorted(events, key=lambda event: event.end)

    def listen(self, source: AudioSource) -> Iterator[Event]:
        """Runs a source to its end; gaps go to `on_gap` and `gaps`.

        A further source, such as a microphone that was reconnected, goes on at the position reached, with nothing remembered.

        Raises:
            AudioError: the source failed, which `failed_sources` counts; what it delivered before was processed.
        """
        first = self.position
        self.reset()
        try:
            with source:
                for block in source.blocks():
                    if isinstance(block, Gap):
                        self.skip(Gap(first + block.start, first + block.end, block.reason))
                    else:
                        yield from self.process(block)
        except AudioError:
            self.failed_sources += 1
            raise

    @property
    def level_dbfs(self) -> float:
        """Mean power of the last block, relative to a square wave of full scale; -inf for digital silence."""
        power = float(np.mean(np.square(self._last_block, dtype=np.float64))) if len(self._last_block) else 0.0
        return 10 * math.log10(power / 32768**2) if power > 0 else -math.inf

    def scores(self) -> dict[str, NDArray[np.float32]]:
        """Smoothed posteriors (classes,) 0..1 of each pack, by its name; zeros until its window is full."""
        return {listener.name: listener.decoder.smoothed() for listener in self._listeners}
