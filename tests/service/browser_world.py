"""A daemon in a process of its own that hears the demo's speech in real time, and the page it serves."""

import os
import threading
import time

import numpy as np
import soundfile

from tests.service.daemon import Daemon
from tests.service.page_world import free_port


class World:
    """A daemon that hears the demo's speech over and over, and the page it serves."""

    def __init__(self, folder, root, *, clips, page=""):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._config = f"""
state_folder = "{folder / "state"}"
[[inputs]]
name = "kitchen"
source = "stdin"
packs = [{{pack = "marvin"}}, {{pack = "commands"}}]
[[sinks]]
kind = "jsonl"
[retention]
clips = {str(clips).lower()}
[page]
port = {self.port}
{page}
"""
        self._speech, _ = soundfile.read(root / "examples" / "demo.flac", dtype="int16")
        self.start()

    def start(self):
        self.daemon = Daemon(self.folder, dict(os.environ), self._config)
        self._stopping = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()
        self.daemon.wait_for(type="status", status="listening")
        while not self.daemon.log_has("page: http"):
            time.sleep(0.05)

    def _feed(self):
        noise = np.random.default_rng(0).integers(-20, 20, len(self._speech))
        noisy = np.clip(self._speech + noise, -32_768, 32_767).astype("<i2")
        block, begun = 1600, time.monotonic()
        assert self.daemon.process.stdin
        pipe = self.daemon.process.stdin.fileno()
        for count, at in enumerate(_cycle(len(noisy) - block, block)):
            try:
                os.write(pipe, noisy[at : at + block].tobytes())
            except OSError:
                return
            if self._stopping.wait(max(0, begun + count * 0.1 - time.monotonic())):
                return

    def hush(self):
        """The pipe stays open, and nothing comes any more."""
        self._stopping.set()
        self._feeder.join(10)

    def stop(self):
        self.hush()
        return self.daemon.stop()


def _cycle(length, step):
    while True:
        yield from range(0, length, step)
