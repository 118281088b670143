"""Keeps standard error quiet while C libraries may write to it that report in no other way, and prints the rest afterwards."""

import contextlib
import os
import sys
import tempfile
from types import TracebackType
from typing import BinaryIO, Self

_OF_SOUND_LIBRARIES = (b"Expression '", b"ALSA lib ", b"\n")  # failed calls, which reach us as error codes too


class HeldStderr:
    """While entered, what is written to standard error waits; what PortAudio and ALSA say of failed calls is dropped.

    Args:
        terminal_only: leave standard error alone unless it is a terminal.
    """

    def __init__(self, *, terminal_only: bool = False) -> None:
        self._terminal_only = terminal_only
        self._held: tuple[int, BinaryIO] | None = None

    def __enter__(self) -> Self:
        if self._held is None and (os.isatty(2) or not self._terminal_only):
            with contextlib.suppress(OSError):  # a daemon may have closed it
                before = os.dup(2)
                _flush()
                self._held = before, tempfile.TemporaryFile()
                os.dup2(self._held[1].fileno(), 2)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held is not None:
            (before, file), self._held = self._held, None
            _flush()
            os.dup2(before, 2)
            os.close(before)
            with file:
                file.seek(0)
                os.write(2, b"".join(line for line in file if not line.startswith(_OF_SOUND_LIBRARIES)))


def _flush() -> None:
    if sys.stderr:  # None in a program without a console
        sys.stderr.flush()
