"""A whole service in this process, fed by the test that drives it."""

import queue
import time

import numpy as np

from edge_kws.service.config import parse_config
from edge_kws.service.engine import Service
from edge_kws.service.records import Heard
from edge_kws.service.store import Store
from tests.golden.loudness_pack import loudness_pack

PATIENCE_S = 30
RNG = np.random.default_rng(5)
BURST = np.concatenate([RNG.integers(-30, 30, 24_000), RNG.integers(-6000, 6000, 8000), RNG.integers(-30, 30, 8000)]).astype(np.int16)


class Fed:
    """An audio source that yields what a test gives it, at once."""

    description = "fed by a test"

    def __init__(self):
        self.queue = queue.Queue()
        self.given = np.zeros(0, np.int16)

    def give(self, pcm):
        self.given = np.concatenate([self.given, pcm])
        for start in range(0, len(pcm), 800):
            self.queue.put(pcm[start : start + 800])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def blocks(self):
        while (block := self.queue.get()) is not None:
            yield block


class Running:
    def __init__(self, folder, text):
        pack = loudness_pack().write(folder / "loudness.tflite")
        packs = f'[[inputs.packs]]\npack = "{pack}"\nunsigned = true\n'
        self.config = parse_config(f'[[inputs]]\nname = "kitchen"\nsource = "stdin"\n{packs}{text}', "test.toml")
        self.source = Fed()
        self.store = Store(folder / "state", self.config.retention)
        self.service = Service(folder / "test.toml", self.config, self.store, source=lambda _: self.source)
        self.feed = self.service.subscribe()

    def __enter__(self):
        self.service.start()
        return self

    def __exit__(self, *_):
        self.source.queue.put(None)
        self.service.stop()
        self.store.close()

    def burst(self):
        """Plays one burst and returns its event."""
        self.source.give(BURST)
        while not isinstance(record := self.feed.get(PATIENCE_S), Heard):
            assert record is not None, "no event"
        return record

    def sink(self):
        (state,) = self.service.snapshot().sinks
        return state


def until(condition):
    for _ in range(PATIENCE_S * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("never came true")
