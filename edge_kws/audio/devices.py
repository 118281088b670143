"""Input devices as PortAudio sees them, and choosing one by index or name."""

import gc
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from edge_kws.errors import AudioError

_CARD_NUMBER = re.compile(r" *\(hw:\d+,\d+\)$")
_NEXT = "run `edge-kws devices` to see what there is"


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that can record.

    Attributes:
        index: PortAudio's number, valid until devices are plugged or unplugged.
        name: as the system calls it.
        host_api: ALSA, Core Audio, WASAPI...
        channels: the most it offers.
        rate_hz: its own sample rate.
        is_default: what is used when none is named.
    """

    index: int
    name: str
    host_api: str
    channels: int
    rate_hz: int
    is_default: bool


def import_sounddevice() -> ModuleType:
    """The sounddevice module. Raises AudioError where it or PortAudio is missing."""
    try:
        import sounddevice  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise AudioError("live audio needs the sounddevice package; run `pip install sounddevice`") from None
    except OSError as error:  # the message of sounddevice when the PortAudio library cannot be loaded
        raise AudioError(f"live audio needs PortAudio ({error}); on Debian or Raspberry Pi OS run `apt install libportaudio2`") from None
    return sounddevice


def list_devices() -> list[InputDevice]:
    """All devices with at least one input channel, in PortAudio's order; empty where there are none.

    Looks anew each time, so that a device plugged in since is found, except while a stream of sounddevice is open in this process:
    PortAudio looks only when it starts, and starting again would end that stream.

    Raises:
        AudioError: PortAudio is missing or fails.
    """
    fresh = "sounddevice" not in sys.modules
    sounddevice = import_sounddevice()
    try:
        if not fresh and not _stream_open(sounddevice):
            sounddevice._terminate()
            sounddevice._initialize()
        found, apis, default = sounddevice.query_devices(), sounddevice.query_hostapis(), sounddevice.default.device[0]
    except sounddevice.PortAudioError as error:
        raise AudioError(f"PortAudio cannot list devices ({error}); check that the sound system is running") from None
    return [
        InputDevice(
            index=index,
            name=str(device["name"]),
            host_api=str(apis[device["hostapi"]]["name"]),
            channels=int(device["max_input_channels"]),
            rate_hz=round(device["default_samplerate"]),
            is_default=index == default,
        )
        for index, device in enumerate(found)
        if device["max_input_channels"] > 0
    ]


def _stream_open(sounddevice: ModuleType) -> bool:
    """Whether anyone in this process, we or the program we are part of, has a stream open."""
    base = sounddevice._StreamBase
    return any(issubclass(type(thing), base) and not thing.closed for thing in gc.get_objects())


def choose(devices: Sequence[InputDevice], wanted: str | int | None) -> InputDevice:
    """The device meant by an index, a name or part of one (case does not matter), or the default for None.

    A full name wins over partial matches; a string of digits is an index. A full ALSA name also fits when only its card number,
    `(hw:1,0)`, has changed, as it does when devices are plugged in in another order.

    Raises:
        AudioError: no such device, or several fit.
    """
    if not devices:
        raise AudioError(f"no input device: PortAudio lists none on this machine; plug in a microphone, then {_NEXT}")
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    if isinstance(wanted, int) or wanted.isdecimal():
        for device in devices:
            if device.index == int(wanted):
                return device
        raise AudioError(
            f"input device {wanted} does not exist; expected one of {', '.join(str(device.index) for device in devices)}; {_NEXT}"
        )
    name = wanted.casefold()
    exact = [device for device in devices if device.name.casefold() == name]
    matches = exact or [device for device in devices if name in device.name.casefold()]
    if not matches and _CARD_NUMBER.search(name):
        matches = [device for device in devices if _CARD_NUMBER.sub("", device.name.casefold()) == _CARD_NUMBER.sub("", name)]
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(f"{device.index} {device.name!r}" for device in matches or devices)
    problem = f"fits {len(matches)} input devices" if matches else "fits no input device"
    raise AudioError(f"device {wanted!r} {problem} ({listed}); {'give the index or more of the name' if matches else _NEXT}")
