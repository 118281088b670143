"""A live capture device, read through PortAudio into a ring buffer."""

import atexit
import threading
from collections.abc import Callable, Generator
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.devices import InputDevice, choose, import_sounddevice, list_devices
from edge_kws.audio.resample import Resampler, resampled_length
from edge_kws.audio.ring_buffer import RingBuffer
from edge_kws.errors import AudioError
from edge_kws.events import SAMPLE_RATE_HZ, Gap
from edge_kws.held_stderr import HeldStderr

_BLOCK_SAMPLES = SAMPLE_RATE_HZ // 20
_POLL_S = 0.1
_START_POLLS = 60  # PulseAudio may take over 2 s to deliver the first block
_SILENT_POLLS = 20  # then a device that delivers nothing for 2 s is gone
_LATENCY_S = 0.1  # the device's buffer: what Python may be late by before samples are lost
_INVALID_RATE, _INVALID_CHANNELS = -9997, -9998  # PaErrorCode
_BUSY = -9985


class _Stream(Protocol):
    """The part of sounddevice.InputStream used here."""

    active: bool

    def start(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class _Time(Protocol):
    inputBufferAdcTime: float  # noqa: N815 (PortAudio's name)


class _Flags(Protocol):
    input_overflow: bool


class Microphone:
    """An input device as an `AudioSource`.

    The capture callback resamples into `ring` and never waits. Opened at 16 kHz mono or, where the device refuses that, in its own
    format. Samples that the device or a slow reader lost are yielded as `Gap` and counted. A device that is unplugged, or
    delivers nothing for 2 s, ends `blocks` with AudioError after everything captured has been yielded.

    Args:
        device: index, name or part of a name (case does not matter); None: the system's default.
        buffer_s: how far back `ring` reaches, and how long a reader may stall before it is lapped.

    Attributes:
        ring: the last `buffer_s` seconds, 16 kHz mono, for pre-roll.
        overruns: how often the device reported lost samples.
        laps: how often the reader was lapped.
        lost_samples: 16 kHz samples lost either way.

    Raises:
        AudioError: (on opening) PortAudio missing, no such device, device busy or refusing every format; (from `blocks`) device gone.
    """

    def __init__(self, device: str | int | None = None, buffer_s: float = 10.0) -> None:
        self._wanted = device
        self.ring = RingBuffer(round(buffer_s * SAMPLE_RATE_HZ))
        self._reader = self.ring.reader()
        self.overruns = 0
        self._stream: _Stream | None = None
        self._resampler = Resampler(SAMPLE_RATE_HZ)
        self._device: InputDevice | None = None
        self._callbacks = 0
        self._next_adc_s = 0.0
        self._ended = threading.Event()
        self._failure: Exception | None = None

    @property
    def laps(self) -> int:
        """How often the reader of `blocks` was lapped."""
        return self._reader.laps

    @property
    def lost_samples(self) -> int:
        """16 kHz samples that `blocks` reported as gaps."""
        return self._reader.lost_samples

    @property
    def backlog_samples(self) -> int:
        """16 kHz samples captured that `blocks` has not yet yielded."""
        return self.ring.position - self._reader.position

    @property
    def description(self) -> str:
        """Device name and, once open, the format it really delivers."""
        if self._device is None:
            return f"microphone {'(default)' if self._wanted is None else self._wanted}"
        rate, channels = self._resampler.rate_in, self._resampler.channels
        return (
            f"{self._device.name} ({self._device.host_api}): {rate} Hz, {'1 channel' if channels == 1 else f'{channels} channels'}, 16 bit"
        )

    def __enter__(self) -> Self:
        if self._stream is None:
            sounddevice = import_sounddevice()
            with HeldStderr():
                self._device = choose(list_devices(), self._wanted)
                self._stream = self._open(sounddevice, self._device)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            # Closing a device that has gone may block inside its driver: that must not hang the program.
            closing = threading.Thread(target=_close, args=(stream,), daemon=True)
            closing.start()
            closing.join(timeout=2.0)
            if closing.is_alive():
                # Neither must the end of the program, where sounddevice would close the same stream once more.
                atexit.unregister(import_sounddevice()._exit_handler)

    def blocks(self) -> Generator[NDArray[np.int16] | Gap, None, None]:
        """Yield int16 blocks of at most 50 ms, and gaps, until the device goes; see `AudioSource.blocks`."""
        with self:
            silent_polls, callbacks = 0, 0
            while True:
                ended = self._ended.is_set() or self._failure is not None  # asked first: the last block may arrive just before the end
                block = self._reader.read(_BLOCK_SAMPLES, timeout_s=_POLL_S)
                if block is not None:
                    yield block
                    continue
                if ended:
                    break
                # Counting polls, not seconds: after Ctrl-Z and `fg`, or a suspended laptop, the clock has jumped but the device lives.
                silent_polls = 0 if self._callbacks != callbacks else silent_polls + 1
                callbacks = self._callbacks
                if silent_polls >= (_SILENT_POLLS if callbacks else _START_POLLS):
                    break
            raise self._gone(silent_polls)

    def _gone(self, silent_polls: int) -> AudioError:
        name = self._device.name if self._device else "?"
        if self._failure is not None:
            return AudioError(f"microphone {name!r}: capture failed ({self._failure}); run `edge-kws devices`")
        if self._ended.is_set():
            why = "the device ended the recording (unplugged?)"
        else:
            why = f"the device delivered nothing for {silent_polls * _POLL_S:.0f} s (unplugged, or held by another program?)"
        return AudioError(
            f"microphone {name!r}: {why} after {self.ring.position / SAMPLE_RATE_HZ:.1f} s; reconnect it, then run `edge-kws devices`"
        )

    def _open(self, sounddevice: ModuleType, device: InputDevice) -> _Stream:
        formats = dict.fromkeys(
            [(SAMPLE_RATE_HZ, 1), (device.rate_hz, 1), (SAMPLE_RATE_HZ, device.channels), (device.rate_hz, device.channels)]
        )
        refusal: Exception | None = None
        for rate_hz, channels in formats:
            self._resampler = Resampler(rate_hz, channels)
            try:
                return self._start(sounddevice.InputStream, device.index, rate_hz, channels)
            except sounddevice.PortAudioError as error:
                refusal = error
                if _error_code(error) not in (_INVALID_RATE, _INVALID_CHANNELS):
                    break
        reason = str(refusal).replace("\n", " ")
        if _error_code(refusal) == _BUSY:
            hint = "another program may be holding it: close that program or choose another device"
        else:
            hint = "check that it is connected and that you may use it (group `audio`)"
        raise AudioError(f"microphone {device.name!r} cannot be opened ({reason}); {hint}, see `edge-kws devices`")

    def _start(self, input_stream: Callable[..., Any], index: int, rate_hz: int, channels: int) -> _Stream:
        self._ended.clear()
        stream: _Stream = input_stream(
            device=index,
            samplerate=rate_hz,
            channels=channels,
            dtype="int16",
            latency=_LATENCY_S,
            callback=self._capture,
            finished_callback=self._ended.set,
        )
        try:
            stream.start()
        except BaseException:
            stream.close()
            raise
        return stream

    def _capture(self, frames: NDArray[np.int16], count: int, time: _Time, flags: _Flags) -> None:
        """Runs in PortAudio's thread: no waiting, and no exception may leave it."""
        try:
            if flags.input_overflow:
                self._report_overrun(time.inputBufferAdcTime)
            self._next_adc_s = time.inputBufferAdcTime + count / self._resampler.rate_in
            self.ring.write(self._resampler.process(frames))
            self._callbacks += 1
        except Exception as error:
            self._failure = error

    def _report_overrun(self, adc_s: float) -> None:
        """Declare what was lost before this block: the device says that, its clock says how much."""
        lost = round((adc_s - self._next_adc_s) * self._resampler.rate_in) if self._next_adc_s > 0 else 0
        lost = min(max(lost, 1), 60 * self._resampler.rate_in)  # a device without a clock still loses at least one sample
        self.ring.write(self._resampler.flush())
        self.ring.write_gap(max(1, resampled_length(lost, self._resampler.rate_in)), "overrun: the device lost samples")
        self.overruns += 1


def _close(stream: _Stream) -> None:
    stream.abort()
    stream.close()


def _error_code(error: Exception | None) -> int | None:
    """PortAudio's error number, the second argument of a PortAudioError."""
    return error.args[1] if error is not None and len(error.args) > 1 else None
