"""Several packs from one ring buffer and one FFT: each gives the events it gives alone."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws import detector as detector_module
from edge_kws.audio import RingBuffer
from edge_kws.audio.file import read_pcm
from edge_kws.decoder import DecoderConfig
from edge_kws.detector import Detector
from edge_kws.errors import FrontendError
from edge_kws.events import Event, Gap
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Golden, Pack
from edge_kws.resources import demo_speech, shipped_packs
from tests.golden.loudness_pack import loudness_pack
from tests.golden.tiny_model import features, tiny_model, tiny_pack

SPEECH = read_pcm(demo_speech())


class _Ring:
    """What a capture thread fills and one reader empties, as in `Microphone`: a second in the buffer at most."""

    description = "ring buffer"

    def __init__(self, pcm: NDArray[np.int16]) -> None:
        self._pcm = pcm

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def blocks(self) -> Iterator[NDArray[np.int16] | Gap]:
        ring = RingBuffer(16_000)
        reader = ring.reader()
        for start in range(0, len(self._pcm), 441):
            ring.write(self._pcm[start : start + 441])
            while (block := reader.read(800)) is not None:
                yield block


class _Counted(Frontend):
    """Counts front ends and, for each, the frames that went through its FFT."""

    made: list["_Counted"] = []  # noqa: RUF012 (shared on purpose)

    def __init__(self, *configs: FrontendConfig) -> None:
        super().__init__(*configs)
        self.frames = 0
        self.made.append(self)

    def process(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.int8], ...]:
        found = super().process(pcm)
        self.frames += len(found[0])
        return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[_Counted]:
    _Counted.made.clear()
    monkeypatch.setattr(detector_module, "Frontend", _Counted)
    return _Counted.made


def _random_pack(name: str, config: FrontendConfig) -> Pack:
    """Random weights that fire now and then."""
    model = tiny_model(bins=config.mel_bins, input_scale=config.input_scale)
    decoder = DecoderConfig(thresholds=(None, None, 0.3, 0.3), refractory_steps=20)
    golden = Golden.record(model, features(3, bins=config.mel_bins))
    return tiny_pack(model, golden=golden, name=name, frontend=config, decoder=decoder)


def _packs() -> list[Pack]:
    shipped = [Pack.load(path) for path in shipped_packs().values()]
    other = FrontendConfig(mel_bins=24, noise_reduction=True, pcan=True, feature_divisor=666)
    return [*shipped, loudness_pack(), loudness_pack("again"), _random_pack("other", other)]


def _listen(*packs: Pack) -> list[Event]:
    return list(Detector(packs).listen(_Ring(SPEECH)))


def test_together_as_alone_with_one_fft(counted: list[_Counted]) -> None:
    packs = _packs()
    together = _listen(*packs)
    (shared,) = counted
    assert shared.frames == FrontendConfig().frames_in(len(SPEECH)), "each frame is transformed once, however many packs listen"
    assert len(shared.configs) == len({pack.frontend for pack in packs}) < len(packs), "equal settings share a filter bank"
    alone = [_listen(pack) for pack in packs]
    assert sum(front.frames for front in counted[1:]) == len(packs) * shared.frames
    for pack, events in zip(packs, alone, strict=True):
        assert events, f"{pack.info.name} has something to find"
        assert [event for event in together if event.model == pack.info.name] == events
    assert len(together) == sum(map(len, alone))
    assert [event.end for event in together] == sorted(event.end for event in together)


def test_the_order_of_packs_does_not_matter(counted: list[_Counted]) -> None:
    def key(event: Event) -> Any:
        return event.end, event.model, event.label

    packs = _packs()
    assert sorted(_listen(*packs), key=key) == sorted(_listen(*reversed(packs)), key=key)


def test_front_ends_that_cannot_share_an_fft_are_refused() -> None:
    other = _random_pack("other", FrontendConfig(hop_ms=20))
    with pytest.raises(FrontendError, match="one window and hop, found 30/10 ms, 30/20 ms"):
        Detector([loudness_pack(), other])


def test_a_paused_pack_costs_nothing_and_comes_back_fresh_while_others_never_notice() -> None:
    packs = _packs()
    detector, whole, fresh = Detector(packs), Detector(packs), Detector(packs[:1])
    name = packs[0].info.name
    cut = len(SPEECH) // 3 // 160 * 160 + 320  # whole frames: the resumed pack starts with a frame of its own
    head, middle, tail = SPEECH[:cut], SPEECH[cut : 2 * cut], SPEECH[2 * cut :]
    events = detector.process(head)
    detector.pause(name)
    spent = detector.cpu_s(name)
    events += detector.process(middle)
    assert detector.cpu_s(name) == spent > 0
    assert not any(event.model == name and event.end > cut for event in events)
    detector.resume(name)
    events += detector.process(tail)
    expected = whole.process(SPEECH)
    assert [event for event in events if event.model != name] == [event for event in expected if event.model != name]
    # The front end went on meanwhile: the next frame begins 30 ms - 10 ms before the cut.
    fresh.position = 2 * cut - 320
    fresh.reset()
    assert [event for event in events if event.model == name and event.end > 2 * cut] == fresh.process(SPEECH[2 * cut - 320 :])
    detector.resume(name)
    assert detector.position == len(SPEECH), "resuming what runs changes nothing"
