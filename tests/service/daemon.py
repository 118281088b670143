"""`edge-kws service run` in a process of its own, as tests drive it."""

import json
import queue
import signal
import socket
import subprocess
import sys
import threading

PATIENCE_S = 60


class Daemon:
    """`edge-kws service run`, what it says as JSON lines, and what it tells systemd."""

    def __init__(self, folder, environment, config, before=()):
        self.config = folder / "config.toml"
        self.config.write_text(config)
        self.state_folder = folder / "state"
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / "notify"
        address.unlink(missing_ok=True)
        self.notified.bind(str(address))
        self.notified.settimeout(PATIENCE_S)
        command = [*before, sys.executable, "-m", "edge_kws.cli.main", "service", "run", "--config", str(self.config)]
        environment = environment | {"NOTIFY_SOCKET": str(address), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.records = queue.Queue()
        self.log = []
        self._readers = [threading.Thread(target=target, daemon=True) for target in (self._read_records, self._read_log)]
        for reader in self._readers:
            reader.start()
        self._guard = threading.Timer(300, self.process.kill)
        self._guard.start()

    def _read_records(self):
        assert self.process.stdout
        for line in self.process.stdout:
            self.records.put(json.loads(line))

    def _read_log(self):
        assert self.process.stderr
        self.log += self.process.stderr

    def wait_for(self, **wanted):
        """The next record with these values; those before it are passed over."""
        seen = []
        while True:
            try:
                record = self.records.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"no {wanted}; only {seen[-5:]}; log {self.log[-10:]}") from None
            seen.append(record)
            if all(record.get(key) == value for key, value in wanted.items()):
                return record

    def log_has(self, word):
        """Whether the journal has a line with that word."""
        return any(word in line for line in self.log)

    def drain(self):
        """Notifications that have come since the last look."""
        lines = []
        self.notified.setblocking(False)
        try:
            while True:
                lines += self.notified.recv(65_536).decode().split("\n")
        except BlockingIOError:
            return lines
        finally:
            self.notified.settimeout(PATIENCE_S)

    def wait_for_notice(self, line):
        """The next notification with that line; returns those before it."""
        before = []
        while True:
            lines = self.notified.recv(65_536).decode().split("\n")
            if line in lines:
                return before
            before += lines

    def hup(self, config):
        self.config.write_text(config)
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        self._guard.cancel()
        self.notified.close()
        return status
