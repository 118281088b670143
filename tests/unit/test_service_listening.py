"""An input of the daemon: its thread never gives up, its positions go on, and it says what happened."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from edge_kws.detector import Detector
from edge_kws.errors import AudioError
from edge_kws.events import Gap
from edge_kws.service import listening as listening_module
from edge_kws.service.bus import EventBus
from edge_kws.service.config import MicrophoneConfig, PackConfig, StdinConfig
from edge_kws.service.listening import Listening
from edge_kws.service.packs import LoadedPack
from edge_kws.service.records import Changed, Heard, InputStatus, Lost
from edge_kws.service.sources import Doorkeeper
from tests.golden.loudness_pack import loudness_pack

PACK = loudness_pack()
BLOCK = 800


class Scripted:
    """An audio source that plays a list of blocks, gaps and errors, waiting for events among them, then waits to be told to end."""

    description = "scripted: 16000 Hz"

    def __init__(self, script, end):
        self._script, self._end = script, end

    def __enter__(self):
        if self._script and isinstance(self._script[0], Exception):
            raise self._script[0]
        return self

    def __exit__(self, kind, error, trace):
        pass

    def blocks(self):
        for item in self._script:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, threading.Event):
                assert item.wait(20)
            else:
                yield item
        while not self._end.wait(0.01):
            yield np.zeros(0, np.int16)


@pytest.fixture
def listen(monkeypatch):
    """Starts an input on scripts, one for each time it is opened; returns it and the records so far."""
    monkeypatch.setattr(listening_module, "_RETRY_S", (0.0,) * 4)
    running = []
    end = threading.Event()

    def start(*scripts, config=None, packs=None, ends=False):
        bus, ids, todo = EventBus(), iter(range(1, 1000)), list(scripts)
        config = config or MicrophoneConfig(name="kitchen", packs=(PackConfig(pack="loudness"),), silence_s=1)
        packs = packs or (LoadedPack(PACK, 0.6, 30, "shipped"),)
        feed = bus.subscribe(1000)
        if ends:
            end.set()
        listening = Listening(config, packs, lambda: Scripted(todo.pop(0) if todo else [], end), Doorkeeper(), bus, lambda: next(ids))
        running.append(listening)
        listening.start()
        return listening, feed

    yield start
    end.set()
    for listening in running:
        listening.stop()


def wait_for(feed, wanted):
    """Records up to and with the first that is wanted."""
    records = []
    while (record := feed.get(20)) is not None:
        records.append(record)
        if wanted(record):
            return records
    raise AssertionError(f"never came; only {records}")


def status(wanted):
    return lambda record: isinstance(record, Changed) and record.status == wanted


def burst(seed=0):
    return np.random.default_rng(seed).integers(-6000, 6000, 8000).astype(np.int16)


def quiet(samples):
    return np.random.default_rng(1).integers(-3, 4, samples).astype(np.int16)


def blocks(pcm):
    return [pcm[at : at + BLOCK] for at in range(0, len(pcm), BLOCK)]


def test_it_hears_what_a_detector_hears(listen):
    pcm = np.concatenate([quiet(24_000), burst(), quiet(24_000), burst(), quiet(4_000)])
    expected = Detector([PACK]).process(pcm)
    listening, feed = listen(blocks(pcm))
    records = [record for record in wait_for(feed, lambda r: isinstance(r, Heard) and r.id == len(expected)) if isinstance(record, Heard)]
    assert [(record.label, record.score, record.start, record.end) for record in records] == [
        (event.label, event.score, event.start, event.end) for event in expected
    ]
    assert len(expected) == 2
    assert (records[0].threshold, records[0].task, records[0].pack, records[0].input) == (0.6, "wake_word", "loudness", "kitchen")
    assert abs(records[0].time - time.time()) < 60
    assert listening.state().events == 2


def test_a_source_that_fails_is_opened_again_and_positions_go_on(listen):
    script = blocks(np.concatenate([quiet(24_000), burst()]))
    listening, feed = listen([AudioError("not there")], [*script, AudioError("unplugged")], [AudioError("not there")], script)
    first = wait_for(feed, lambda r: isinstance(r, Heard))
    away = wait_for(feed, status(InputStatus.AWAY))
    rest = wait_for(feed, lambda r: isinstance(r, Heard))
    assert [r.status for r in first if isinstance(r, Changed)] == [InputStatus.AWAY, InputStatus.LISTENING]
    assert away[-1].detail == "unplugged"
    (lost,) = [record for record in rest if isinstance(record, Lost)]
    assert lost.start == 32_000
    assert rest[-1].end - lost.end == first[-1].end, "the same audio, as long after the gap as before it after the start"
    state = listening.state()
    assert state.lost_samples == lost.end - lost.start
    assert state.reconnects == 1
    assert state.status == InputStatus.LISTENING


def test_a_defect_does_not_end_the_input(listen):
    _, feed = listen([*blocks(quiet(8_000)), ValueError("a defect")], blocks(np.concatenate([quiet(24_000), burst()])))
    records = wait_for(feed, lambda r: isinstance(r, Heard))
    assert any("unexpected ValueError: a defect" in record.detail for record in records if isinstance(record, Changed))


def test_gaps_are_passed_on_and_reset_the_detector(listen):
    half = burst()[:1200]  # 75 ms, not enough alone
    listening, feed = listen([quiet(24_000), half, Gap(0, 160, "overrun"), half, *blocks(quiet(24_000)), *blocks(burst())])
    records = wait_for(feed, lambda r: isinstance(r, Heard))
    (lost,) = [record for record in records if isinstance(record, Lost)]
    assert (lost.start, lost.end, lost.reason) == (25_200, 25_360, "overrun")
    assert listening.state().lost_samples == 160
    np.testing.assert_array_equal(listening.ring.span(25_000, 25_600), np.concatenate([half[-200:], np.zeros(160, np.int16), half[:240]]))


def test_digital_silence_is_reported_and_the_source_opened_again(listen):
    zeros = [np.zeros(BLOCK, np.int16)] * 25  # 1.25 s, of which 1 s is enough
    listening, feed = listen([*blocks(quiet(1600)), *zeros], [*zeros[:10], *blocks(quiet(1600))])
    records = wait_for(feed, status(InputStatus.SILENT))
    assert "muted" in records[-1].detail
    records = wait_for(feed, status(InputStatus.LISTENING))
    assert not any(isinstance(record, Changed) for record in records[:-1]), "silent until something moves, whatever the source does"
    assert listening.state().reconnects == 1


def test_a_constant_that_is_not_zero_is_silence_as_well(listen):
    _, feed = listen([np.full(BLOCK, -7, np.int16)] * 25)
    wait_for(feed, status(InputStatus.SILENT))


def test_standard_input_ends_once(listen):
    config = StdinConfig(name="pipe", source="stdin", packs=(PackConfig(pack="loudness"),))
    for script in (blocks(quiet(1600)), [*blocks(quiet(1600)), AudioError("ended inside a sample")]):
        listening, feed = listen(script, config=config, ends=True)
        wait_for(feed, status(InputStatus.ENDED))
        assert listening.state().status == InputStatus.ENDED


def test_a_source_that_neither_delivers_nor_fails_is_noticed(listen, monkeypatch):
    listening, feed = listen(blocks(quiet(1600)))
    wait_for(feed, status(InputStatus.LISTENING))
    listening.stop()  # from here on nothing arrives
    wait_for(feed, status(InputStatus.STOPPED))
    monkeypatch.setattr(listening, "_status", InputStatus.LISTENING)
    listening.check_stall()
    assert listening.status == InputStatus.LISTENING
    monkeypatch.setattr(listening, "last_audio", time.monotonic() - listening_module.STALL_S - 1)
    listening.check_stall()
    assert listening.status == InputStatus.AWAY


def test_audio_is_handed_out_sample_by_sample_when_it_has_been_heard(listen):
    pcm = np.concatenate([quiet(16_000), burst(), quiet(16_000)])
    gate = threading.Event()

    class Gated(list[Any]):
        def __iter__(self):
            for number, block in enumerate(blocks(pcm)):
                if number == 20:
                    assert gate.wait(20)
                yield block

    listening, feed = listen(Gated([quiet(1)]))
    got, arrived = [], threading.Semaphore(0)
    wait_for(feed, status(InputStatus.LISTENING))

    def take(start, span):
        got.append((start, span))
        arrived.release()

    listening.when_heard(-500, 1000, take)  # before the beginning: from the beginning
    listening.when_heard(15_000, 33_333, take)
    assert listening.ring.position <= 16_000
    gate.set()
    for _ in range(2):
        assert arrived.acquire(timeout=20)
    assert [(start, len(span)) for start, span in got] == [(0, 1000), (15_000, 18_333)]
    np.testing.assert_array_equal(got[0][1], pcm[:1000])
    np.testing.assert_array_equal(got[1][1], pcm[15_000:33_333])


def test_audio_that_a_failed_source_never_delivered_is_left_out(listen):
    asked = threading.Event()
    listening, feed = listen([*blocks(quiet(16_000)), quiet(BLOCK), asked, AudioError("unplugged")], [])
    got, arrived = [], threading.Event()
    listening.when_heard(0, 10**9, lambda start, span: (got.append((start, len(span))), arrived.set()))
    asked.set()
    assert arrived.wait(20)
    assert got == [(0, 16_800)]
    wait_for(feed, status(InputStatus.AWAY))


def test_a_threshold_holds_at_once(listen):
    listening, feed = listen([])
    listening.set_threshold("loudness", 1.0)
    assert listening.state().packs[0].threshold == 1.0
    assert listening.state().packs[0].configured_threshold == 0.6
    detector = Detector([PACK])
    detector.set_threshold("loudness", 0.9999)
    assert detector.process(np.concatenate([quiet(24_000), burst() // 20])) == []
    feed.close()


def test_the_spectrogram_goes_on_where_it_was_left(listen):
    pcm = np.concatenate([quiet(16_000), burst(), quiet(8_000)])
    listening, feed = listen(blocks(pcm))
    wait_for(feed, lambda r: isinstance(r, Heard))
    while listening.ring.position < len(pcm):
        time.sleep(0.01)
    first, columns = listening.columns()
    assert (first, columns.dtype, columns.shape) == (0, np.uint8, (49, 40))
    assert columns[25:36].mean() > columns[:24].mean() + 50
    later = listening.columns(after=40)
    assert later.first == 41
    np.testing.assert_array_equal(later.columns, columns[41:])
    assert len(listening.columns(after=48).columns) == 0
    assert len(listening.columns(after=10**9).columns) == 0
