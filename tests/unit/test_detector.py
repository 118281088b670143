"""The device flow: events at exact positions, whatever the chunks; gaps and resets."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_kws.detector import Detector
from edge_kws.errors import AudioError, ConfigError
from edge_kws.events import Event, Gap
from tests.golden.loudness_pack import WINDOW_FRAMES, loudness_pack

PACK = loudness_pack()


def _bursts() -> NDArray[np.int16]:
    """Three loud bursts in quiet noise, 4 s."""
    random = np.random.default_rng(3)
    pcm = random.normal(0, 3, 64_000)
    for start in (16_000, 34_000, 52_000):
        pcm[start : start + 6_000] += random.normal(0, 8_000, 6_000)
    return np.clip(pcm, -32768, 32767).astype(np.int16)


PCM = _bursts()
WHOLE = Detector([PACK]).process(PCM)


def test_each_burst_is_one_event_at_a_frame_boundary() -> None:
    assert len(WHOLE) == 3
    for event, burst in zip(WHOLE, (16_000, 34_000, 52_000), strict=True):
        assert burst < event.end < burst + 6_000 + PACK.frontend.frame_end(WINDOW_FRAMES)
        frame, rest = divmod(event.end - PACK.frontend.window_samples, PACK.frontend.hop_samples)
        assert rest == 0
        assert event.start == (frame - WINDOW_FRAMES + 1) * PACK.frontend.hop_samples
        assert (event.model, event.label) == ("loudness", "loud")


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PCM)), max_size=25))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    detector, events, start = Detector([PACK]), list[Event](), 0
    for cut in [*sorted(cuts), len(PCM)]:
        events += detector.process(PCM[start:cut])
        start = cut
    assert events == WHOLE
    assert detector.position == len(PCM)


def test_several_models_share_one_stream() -> None:
    events = Detector([PACK, loudness_pack("other")]).process(PCM)
    assert [e.end for e in events if e.model == "loudness"] == [e.end for e in WHOLE]
    assert [e.end for e in events if e.model == "other"] == [e.end for e in WHOLE]


def test_a_gap_moves_positions_and_starts_over() -> None:
    seen: list[Gap] = []
    detector = Detector([PACK], on_gap=seen.append)
    detector.process(PCM[:20_000])
    gap = Gap(20_000, 100_000, "overrun")
    detector.skip(gap)
    events = detector.process(PCM)
    fresh = Detector([PACK]).process(PCM)
    assert [(e.start - 100_000, e.end - 100_000, e.score) for e in events] == [(e.start, e.end, e.score) for e in fresh]
    assert seen == detector.gaps == [gap]


def test_reset_forgets_but_keeps_the_position() -> None:
    detector = Detector([PACK])
    detector.process(PCM)
    detector.reset()
    assert (detector.scores()["loudness"] == 0).all()
    assert [e.end - len(PCM) for e in detector.process(PCM)] == [e.end for e in WHOLE]


def test_names_must_differ() -> None:
    with pytest.raises(ConfigError, match="different names"):
        Detector([PACK, PACK])
    with pytest.raises(ConfigError, match="none"):
        Detector([])


class _Source:
    """Yields what it is given, then ends as told."""

    description = "given"

    def __init__(self, blocks: list[NDArray[np.int16] | Gap], error: AudioError | None = None) -> None:
        self._blocks = blocks
        self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def blocks(self) -> Iterator[NDArray[np.int16] | Gap]:
        yield from self._blocks
        if self._error is not None:
            raise self._error


def test_a_second_source_goes_on_at_the_position_reached_with_nothing_remembered() -> None:
    detector = Detector([PACK])
    events = list[Event]()
    with pytest.raises(AudioError, match="unplugged"):
        events.extend(detector.listen(_Source([PCM[:30_000]], AudioError("unplugged"))))
    assert detector.failed_sources == 1
    events.extend(detector.listen(_Source([Gap(0, 500, "overrun"), PCM])))
    assert detector.gaps == [Gap(30_000, 30_500, "overrun")]
    assert detector.position == 30_500 + len(PCM)
    assert [event.end for event in events] == [WHOLE[0].end, *(event.end + 30_500 for event in WHOLE)]
    assert detector.failed_sources == 1
