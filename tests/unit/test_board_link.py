"""Serial ports that misbehave, on pseudo-terminals: one clear line each, and nothing hangs."""

import errno
import os
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import serial

from edge_kws.cli.main import main
from edge_kws.errors import BoardError
from edge_kws_boards import link as link_module
from edge_kws_boards.link import BoardLink
from edge_kws_boards.messages import Kind
from edge_kws_boards.protocol import encode

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")


@dataclass
class Wire:
    """A serial port: `path` for the host, `board` the descriptor of the other end."""

    path: str
    board: int
    gone: bool = False

    def answer(self, data: bytes, *, then_unplug: bool = False) -> None:
        """Once the host has said something: opening a port throws away what came before."""

        def wait_and_write() -> None:
            os.read(self.board, 1)
            os.write(self.board, data)
            if then_unplug:
                time.sleep(0.1)
                self.unplug()

        threading.Thread(target=wait_and_write, daemon=True).start()

    def unplug(self) -> None:
        if not self.gone:
            os.close(self.board)
        self.gone = True


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(link_module, "_HELLO_S", (0.3, 0.3))
    board, host = os.openpty()
    tty.setraw(board)
    tty.setraw(host)
    made = Wire(os.ttyname(host), board)
    yield made
    made.unplug()
    os.close(host)


def _told(port: str) -> str:
    with pytest.raises(BoardError) as error, BoardLink(port):
        pass
    text = str(error.value)
    assert text.startswith(port)
    assert "\n" not in text
    return text


def test_silence_is_told(wire: Wire) -> None:
    assert "found silence for 0.6 s; reset it, or flash it first" in _told(wire.path)


def test_another_baud_rate_is_told(wire: Wire) -> None:
    wire.answer(bytes(range(1, 200)) * 3 + b"\0")
    assert "found 598 bytes that are none; check that it runs edge_kws firmware, at 115200 baud" in _told(wire.path)


def test_another_version_is_told(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_kws_boards.protocol.VERSION", 2)
    frame = encode(Kind.LOG, 0, b"\0hello")
    monkeypatch.undo()
    monkeypatch.setattr(link_module, "_HELLO_S", (0.3,))
    wire.answer(frame)
    assert "expected protocol version 1, found another" in _told(wire.path)


def test_a_board_that_says_nothing_of_itself_is_told(wire: Wire) -> None:
    wire.answer(encode(Kind.LOG, 0, b"\0hello"))
    assert "found frames but no answer" in _told(wire.path)


def test_a_message_of_another_form_is_told(wire: Wire) -> None:
    wire.answer(encode(Kind.STATS, 0, b"\1"))
    assert "STATS message: expected 76 bytes, found 1" in _told(wire.path)


def test_unplugged_in_the_middle_of_a_frame(wire: Wire) -> None:
    wire.answer(encode(Kind.LOG, 0, b"\0hello")[:6], then_unplug=True)
    assert "expected the board to stay, found that it went away" in _told(wire.path)


def test_a_port_that_another_program_holds(wire: Wire) -> None:
    with serial.Serial(wire.path, exclusive=True):
        assert "found that another program holds it; close that one" in _told(wire.path)


def test_no_permission_names_the_group(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise serial.SerialException(errno.EACCES, "Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    monkeypatch.setattr("grp.getgrgid", lambda number: type("Group", (), {"gr_name": "dialout"}))
    os.chmod(wire.path, 0o660)  # noqa: PTH101
    assert "join the group dialout: sudo usermod -aG dialout $USER, then log in again" in _told(wire.path)
    os.chmod(wire.path, 0o600)  # noqa: PTH101
    assert "run as root, or have a udev rule give it to a group of yours" in _told(wire.path)


@pytest.mark.parametrize("port", ["/dev/ttyNOWHERE7", "socket://127.0.0.1:1", "nonsense://", "socket://x"])
def test_a_port_that_does_not_exist_is_one_line(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--port", port]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"edge-kws: error: {port}: expected a")
    assert error.count("\n") == 1
