"""What no device here can show: choice among several, refusals, overruns. The rest is tested on a real one in tests/service."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from edge_kws.audio.devices import InputDevice, choose
from edge_kws.audio.microphone import Microphone
from edge_kws.errors import AudioError
from edge_kws.events import Gap

DEVICES = [
    InputDevice(1, "HDA Intel PCH: ALC295 Analog (hw:0,0)", "ALSA", 2, 44_100, False),
    InputDevice(4, "USB Microphone: Audio (hw:1,0)", "ALSA", 1, 48_000, False),
    InputDevice(5, "USB Microphone: Audio #2 (hw:2,0)", "ALSA", 1, 48_000, False),
    InputDevice(7, "default", "ALSA", 32, 44_100, True),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 7), (1, 1), ("4", 4), ("intel", 1), ("DEFAULT", 7), ("hw:2", 5), ("usb microphone: audio (hw:1,0)", 4)]
)
def test_choice(wanted, index):
    assert choose(DEVICES, wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("usb", ["fits 2 input devices", "4 'USB Microphone: Audio (hw:1,0)', 5 'USB", "give the index"]),
        ("webcam", ["fits no input device", "edge-kws devices"]),
        ("2", ["input device 2 does not exist", "1, 4, 5, 7"]),
        (-1, ["input device -1 does not exist"]),
        ("", ["fits 4 input devices"]),
    ],
)
def test_choice_that_cannot_be_made(wanted, words):
    with pytest.raises(AudioError) as caught:
        choose(DEVICES, wanted)
    for word in words:
        assert word in str(caught.value)


def test_a_full_name_fits_after_its_card_number_changed():
    assert choose(DEVICES, "USB Microphone: Audio (hw:3,0)").index == 4
    assert choose(DEVICES, "USB Microphone: Audio #2 (hw:1,0)").index == 5
    for wanted in ("(hw:3,0)", "USB (hw:3,0)"):
        with pytest.raises(AudioError, match="fits no input device"):
            choose(DEVICES, wanted)


def test_no_device_at_all():
    with pytest.raises(AudioError, match=r"PortAudio lists none.*edge-kws devices"):
        choose([], None)


class PortAudioError(Exception):
    pass


@dataclass
class Driver:
    """Stands for sounddevice: a device that takes some formats, refuses the others with a PortAudio code, and delivers by `callback`."""

    takes: tuple[tuple[int, int], ...]
    code: int = -9997
    tried: list[tuple[int, int]] = field(default_factory=list)
    closed: int = 0
    PortAudioError = PortAudioError

    def InputStream(self, *, samplerate, channels, callback, **_):  # noqa: N802 (sounddevice's name)
        self.tried.append((samplerate, channels))
        if (samplerate, channels) not in self.takes:
            raise PortAudioError("Error opening InputStream: refused", self.code)
        self.callback = callback
        return self

    def start(self):
        pass

    def abort(self):
        pass

    def close(self):
        self.closed += 1

    def deliver(self, frames, adc_s, overflow=False):
        self.callback(frames, len(frames), SimpleNamespace(inputBufferAdcTime=adc_s), SimpleNamespace(input_overflow=overflow))


@pytest.fixture
def plug(monkeypatch):
    def plug_in(device, driver):
        monkeypatch.setattr("edge_kws.audio.microphone.import_sounddevice", lambda: driver)
        monkeypatch.setattr("edge_kws.audio.microphone.list_devices", lambda: [device])
        return driver

    return plug_in


def test_a_device_that_refuses_16_khz_is_resampled(plug):
    driver = plug(DEVICES[0], Driver(takes=((44_100, 2),)))
    with Microphone() as microphone:
        assert driver.tried == [(16_000, 1), (44_100, 1), (16_000, 2), (44_100, 2)]
        assert microphone.description == "HDA Intel PCH: ALC295 Analog (hw:0,0) (ALSA): 44100 Hz, 2 channels, 16 bit"
        tone = (8000 * np.sin(2 * np.pi * 500 * np.arange(44_100) / 44_100)).astype(np.int16)
        for start in range(0, 44_100, 441):
            driver.deliver(np.tile(tone[start : start + 441, None], (1, 2)), start / 44_100)
        pcm = microphone.ring.span(0, microphone.ring.position)
    assert 15_000 < len(pcm) <= 16_000
    expected = 8000 * np.sin(2 * np.pi * 500 * np.arange(len(pcm)) / 16_000)
    assert np.abs(pcm - expected)[100:-100].max() < 5
    assert driver.closed == 1


def test_a_busy_device(plug):
    plug(DEVICES[0], Driver(takes=(), code=-9985))
    with pytest.raises(AudioError, match=r"cannot be opened \(.*refused.*another program.*edge-kws devices"):
        Microphone().__enter__()


def test_a_device_that_takes_no_format(plug):
    driver = plug(DEVICES[1], Driver(takes=()))
    with pytest.raises(AudioError, match="cannot be opened"):
        Microphone().__enter__()
    assert driver.tried == [(16_000, 1), (48_000, 1)]


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_an_overrun_is_a_gap_of_the_length_the_clock_says(plug, rate):
    driver = plug(InputDevice(1, "mic", "ALSA", 1, rate, True), Driver(takes=((rate, 1),)))
    microphone = Microphone()
    blocks = microphone.blocks()
    with microphone:
        block = np.full((rate // 10, 1), 1000, np.int16)
        driver.deliver(block, 5.0)
        driver.deliver(block, 5.1)
        driver.deliver(block, 5.45, overflow=True)  # 0.25 s are missing before this block
        driver.deliver(block, 5.55)
        driver.deliver(block, 0.0, overflow=True)  # a device without a clock
        position, gaps = 0, list[Gap]()
        while position < microphone.ring.position:
            item = next(blocks)
            if isinstance(item, Gap):
                assert item.start == position
                position = item.end
                gaps.append(item)
            else:
                position += len(item)
        blocks.close()
    assert gaps == [Gap(3200, 7200, "overrun: the device lost samples"), Gap(10_400, 10_401, "overrun: the device lost samples")]
    assert (microphone.overruns, microphone.laps, microphone.lost_samples) == (2, 0, 4001)


def test_a_reader_that_stalls_is_told_what_it_missed(plug):
    driver = plug(InputDevice(1, "mic", "ALSA", 1, 16_000, True), Driver(takes=((16_000, 1),)))
    microphone = Microphone(buffer_s=0.5)
    with microphone:
        for number in range(20):
            driver.deliver(np.full((1600, 1), number, np.int16), number / 10)
        blocks = microphone.blocks()
        gap = next(blocks)
        assert isinstance(gap, Gap)
        assert (gap.start, gap.end) == (0, 28_000)
        assert "lapped" in gap.reason
        after = next(blocks)
        assert isinstance(after, np.ndarray)
        assert after[0] == 28_000 // 1600
        blocks.close()
    assert (microphone.overruns, microphone.laps, microphone.lost_samples) == (0, 1, 28_000)


def test_a_failure_in_the_callback_ends_the_blocks(plug):
    driver = plug(InputDevice(1, "mic", "ALSA", 1, 16_000, True), Driver(takes=((16_000, 1),)))
    with Microphone() as microphone:
        driver.deliver(np.ones((1600, 1), np.int16), 0.0)
        driver.deliver(np.ones((1600, 3), np.int16), 0.1)
        got = []
        with pytest.raises(AudioError, match=r"capture failed.*3 channels"):
            got.extend(microphone.blocks())
    assert sum(map(len, got)) == 1600
