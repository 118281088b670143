"""systemd's notification socket (sd_notify), as its manual page describes the protocol."""

import os
import socket


class Notifier:
    """Sends to systemd; does nothing where it did not start us."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        self._last = ""

    def send(self, *lines: str) -> None:
        """Sends assignments such as `READY=1`. What systemd does not take is dropped: it must not stop the audio."""
        if self._socket is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, address)
        except OSError:
            return

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows; sent when it changes."""
        if text != self._last:
            self._last = text
            self.send(f"STATUS={text}")
