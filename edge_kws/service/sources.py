"""Opens what an input's config names. PortAudio is one for the whole process, so microphones take turns at opening."""

import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from edge_kws.audio.devices import list_devices
from edge_kws.audio.microphone import Microphone
from edge_kws.audio.source import AudioSource
from edge_kws.audio.stdin import RawStdin
from edge_kws.errors import AudioError
from edge_kws.service.config import InputConfig, MicrophoneConfig

_CLOSING_S = 5.0
_PROBE_S = 20.0
_PROBE = """
import sys
from edge_kws.audio.devices import choose, list_devices
from edge_kws.errors import AudioError
try:
    choose(list_devices(), sys.argv[1] or None)
except AudioError:
    sys.exit(1)
"""


def open_source(config: InputConfig) -> AudioSource:
    """A source, not yet open."""
    return Microphone(config.device) if isinstance(config, MicrophoneConfig) else RawStdin()


class Doorkeeper:
    """Lets one source at a time open, and all of them start anew when PortAudio must look for devices again.

    PortAudio sees what was plugged in only when it is started anew, which ends every stream. So when an input's device is missing
    while others listen, a process of its own looks; only if that one sees it are the others interrupted, once, for some tenths of a second.

    Attributes:
        generation: sources opened under an older one should be closed and opened again.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._open = 0
        self.generation = 0

    @contextmanager
    def opened(self, source: AudioSource) -> Generator[int, None, None]:
        """Opens the source when it is its turn, yields the generation it belongs to, and closes it."""
        with self._turn:
            source.__enter__()
            generation = self.generation
            with self._changed:
                self._open += 1
        try:
            yield generation
        finally:
            try:
                source.__exit__(None, None, None)
            finally:
                with self._changed:
                    self._open -= 1
                    self._changed.notify_all()

    def look_again(self, config: InputConfig) -> bool:
        """Called where an input's device is missing: has PortAudio started anew if others listen and the device is there after all."""
        if not isinstance(config, MicrophoneConfig) or not self._open or not _seen_afresh(config.device):
            return False
        with self._turn:
            with self._changed:
                self.generation += 1
                if not self._changed.wait_for(lambda: self._open == 0, _CLOSING_S):
                    return False
            try:
                list_devices()
            except AudioError:
                return False
        return True


def _seen_afresh(device: str | None) -> bool:
    """Whether a new process sees the device."""
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE, device or ""], timeout=_PROBE_S, capture_output=True, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
