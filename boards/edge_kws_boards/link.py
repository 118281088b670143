"""A board at the other end of a serial line: opened, synchronised, never sent more than it has room for."""

import errno
import os
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import serial
from serial.tools import list_ports

from edge_kws.errors import BoardError
from edge_kws_boards.messages import Info, Kind, Label, Message, Model, Received, Result, Status, hello_body, read_message
from edge_kws_boards.protocol import Counts, Receiver, encode, next_sequence

BAUD: Final = 115_200
_ANSWER_S: Final = 10.0
_HELLO_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long a board may take to introduce itself, each time it is asked."""
_WRITE_S: Final = 10.0
_CHUNK_BYTES: Final = 65536
_STATUS_TEXTS: Final = {
    Status.UNKNOWN: "does not know that request; flash the firmware of this edge_kws",
    Status.MALFORMED: "takes that request in another form; flash the firmware of this edge_kws",
    Status.UNSUPPORTED: "has nothing that does that",
    Status.TOO_LARGE: "has slots too small for this model; take a smaller pack",
    Status.OUT_OF_ORDER: "lost what came before; try again",
    Status.FLASH: "could not write its flash; try again, then take it for worn out",
    Status.DAMAGED: "received another image than was sent; try again",
    Status.WRONG_ABI: "has another firmware; flash the one of this edge_kws",
    Status.WRONG_FRONTEND: "has no front end for this model; build its firmware with this pack",
    Status.NO_MEMORY: "has too little RAM left for this model; build its firmware with this pack",
    Status.UNTRUSTED: "does not trust this model; ask its owner",
}


@dataclass(frozen=True, slots=True)
class LinkedModel:
    """A model on the board and its labels, in order."""

    model: Model
    labels: tuple[str, ...]


class BoardLink:
    """Speaks the protocol of docs/protocol.md. Use it as a context manager; entering says HELLO.

    Args:
        port: a device such as /dev/ttyACM0 or COM3, or a URL of pyserial such as socket://127.0.0.1:5000.
        baud: of a real serial line.

    Attributes:
        info, models: what the board said of itself.
        received: damage met in what the board sent.

    Raises:
        BoardError: no such port, no permission, held by another program, or nothing answers.
    """

    info: Info
    models: tuple[LinkedModel, ...]

    def __init__(self, port: str, baud: int = BAUD) -> None:
        self.port = port
        self._baud = baud
        self._serial = _open(port, baud)
        self._receiver = Receiver()
        self._inbox: deque[Message] = deque()
        self._sequence = 0
        self._bytes = 0
        self._sent: int | None = None
        self._taken = 0

    def __enter__(self) -> Self:
        try:
            self.synchronise()
        except BaseException:
            self._serial.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._serial.close()

    @property
    def received(self) -> Counts:
        """What the host's receiver counted."""
        return self._receiver.counts

    def synchronise(self) -> None:
        """Says HELLO until the board has introduced itself; what it sent before is forgotten. Raises BoardError."""
        for token, seconds in enumerate(_HELLO_S):
            self._sent = None
            self._inbox.clear()
            self._write(b"\0" + self._frame(Kind.HELLO, hello_body(token)))
            if self._introduced(token, time.monotonic() + seconds):
                return
        raise BoardError(self._silence())

    def send(self, kind: Kind, body: bytes) -> None:
        """Sends a frame, after waiting for room on the board. Raises BoardError."""
        assert self._sent is not None
        frame = self._frame(kind, body)
        give_up = time.monotonic() + _ANSWER_S
        while (self._sent - self._taken) % 2**32 + len(frame) > self.info.receive_bytes:
            if not self._pump(give_up - time.monotonic()) and time.monotonic() > give_up:
                raise BoardError(f"{self.port}: expected {self.info.board} to take data, found none taken for {_ANSWER_S:g} s; reset it")
        self._sent += len(frame)
        self._write(frame)

    def request(self, kind: Kind, body: bytes = b"") -> None:
        """Sends a request and waits until the board has done it; other messages wait in the inbox.

        Raises:
            BoardError: refused, with the board's reason, or not answered.
        """
        self.send(kind, body)
        kept: list[Message] = []
        for message in self.messages(_ANSWER_S):
            if isinstance(message, Result) and message.kind == kind:
                self._inbox.extendleft(reversed(kept))
                if message.status != Status.OK:
                    raise BoardError(f"{self.info.board}: {refusal(message.status)}")
                return
            kept.append(message)
        raise BoardError(f"{self.port}: expected {self.info.board} to answer {kind.name}, found nothing for {_ANSWER_S:g} s; reset it")

    def messages(self, seconds: float) -> Iterator[Message]:
        """What the board says, as it comes; ends when it has been silent for so long. Raises BoardError."""
        give_up = time.monotonic() + seconds
        while True:
            while self._inbox:
                yield self._inbox.popleft()
                give_up = time.monotonic() + seconds
            if not self._pump(give_up - time.monotonic()) and time.monotonic() >= give_up:
                return

    def heard(self, seconds: float) -> Iterator[Message]:
        """What the board says within so long. Raises BoardError."""
        self._pump(seconds)
        yield from self.waiting()

    def waiting(self) -> Iterator[Message]:
        """What the board has said already."""
        while self._inbox:
            yield self._inbox.popleft()

    def _introduced(self, token: int, give_up: float) -> bool:
        info: Info | None = None
        models: list[Model] = []
        labels: list[Label] = []
        while True:
            for message in self.waiting():
                if isinstance(message, Info) and message.token == token:
                    info, self._sent, self._taken = message, message.received, message.received
                elif info is not None and isinstance(message, Model):
                    models.append(message)
                elif info is not None and isinstance(message, Label):
                    labels.append(message)
                elif info is not None and message == Result(Kind.HELLO, Status.OK):
                    self.info = info
                    self.models = tuple(
                        LinkedModel(model, tuple(label.text for label in labels if label.model == model.index)) for model in models
                    )
                    return len(models) == info.models and all(len(m.labels) == m.model.classes for m in self.models)
            if not self._pump(give_up - time.monotonic()) and time.monotonic() >= give_up:
                return False

    def _frame(self, kind: Kind, body: bytes) -> bytes:
        frame = encode(kind, self._sequence, body)
        self._sequence = next_sequence(self._sequence)
        return frame

    def _pump(self, seconds: float) -> bool:
        """Waits at most so long for bytes, and takes what there is. Returns whether there was anything."""
        try:
            _wait_for(self._serial, max(0.0, seconds))
            data: bytes = self._serial.read(_CHUNK_BYTES)
        except (serial.SerialException, OSError) as error:
            raise BoardError(self._gone(error)) from None
        self._bytes += len(data)
        for frame in self._receiver.take(data):
            try:
                message = read_message(frame.kind, frame.body)
            except BoardError as error:
                raise BoardError(f"{self.port}: {error}") from None
            if isinstance(message, Received):
                self._taken = message.received
            elif message is not None:
                self._inbox.append(message)
        return bool(data)

    def _write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise BoardError(f"{self.port}: expected it to take data, found none taken for {_WRITE_S:g} s; reset the board") from None
        except (serial.SerialException, OSError) as error:
            raise BoardError(self._gone(error)) from None

    def _gone(self, error: Exception) -> str:
        return f"{self.port}: expected the board to stay, found that it went away ({error}); plug it in again"

    def _silence(self) -> str:
        counts = self._receiver.counts
        if counts.frames:
            return f"{self.port}: expected a board that introduces itself, found frames but no answer; flash the firmware of this edge_kws"
        if counts.foreign:
            return f"{self.port}: expected protocol version 1, found another; flash the firmware of this edge_kws"
        if self._bytes:
            step = f"check that it runs edge_kws firmware, at {self._baud} baud"
            return f"{self.port}: expected frames, found {self._bytes} bytes that are none; {step}"
        return f"{self.port}: expected a board that answers, found silence for {sum(_HELLO_S):g} s; reset it, or flash it first"


def refusal(status: int) -> str:
    """Why a board did not do what it was asked."""
    known = next((text for code, text in _STATUS_TEXTS.items() if code == status), None)
    return known or f"refused with status {status}; flash the firmware of this edge_kws"


def _open(port: str, baud: int) -> Any:
    try:
        opened: Any = serial.serial_for_url(port, baud, timeout=0, write_timeout=_WRITE_S, exclusive=True)
        if port.startswith("socket://"):
            _send_at_once(opened.fileno())
        return opened
    except (serial.SerialException, OSError, ValueError) as error:
        raise BoardError(f"{port}: {_cannot_open(port, error)}") from None


def _send_at_once(descriptor: int) -> None:
    """Small frames must not wait for the answer to the last ones; pyserial leaves Nagle's algorithm on."""
    with socket.socket(fileno=os.dup(descriptor)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _cannot_open(port: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return f"expected permission to use it, found none; {_permission(Path(port))}"
    if number == errno.ENOENT:
        found = ", ".join(sorted(entry.device for entry in list_ports.comports())) or "none"
        return f"expected a serial port, found no such device; ports here: {found}"
    if number == errno.EBUSY or "lock" in str(error):
        return "expected a free port, found that another program holds it; close that one"
    return f"expected a port that opens, found: {error}; check --port"


def _permission(device: Path) -> str:
    if os.name != "posix":
        return "run as a user who may"
    import grp

    try:
        found = device.stat()
        group = grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        return "run as a user who may"
    if group == "root" or not found.st_mode & stat.S_IWGRP:
        return "run as root, or have a udev rule give it to a group of yours"
    return f"join the group {group}: sudo usermod -aG {group} $USER, then log in again"


def _wait_for(port: Any, seconds: float) -> None:
    """Until bytes can be read, or so long."""
    if os.name == "posix":
        select.select([port.fileno()], [], [], seconds)
    elif not port.in_waiting:
        time.sleep(min(seconds, 0.005))
