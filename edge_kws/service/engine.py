"""The daemon on one screen: inputs -> bus -> store, sinks and page; and what a person may ask of it or tell it."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_kws import __version__
from edge_kws.audio.source import AudioSource
from edge_kws.errors import ConfigError, EdgeKwsError
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.service.bus import EventBus, Subscription
from edge_kws.service.clips import wav_bytes
from edge_kws.service.config import InputConfig, ServiceConfig, SinkConfig, read_config
from edge_kws.service.listening import Listening
from edge_kws.service.log import Level, log
from edge_kws.service.packs import LoadedPack, load_packs
from edge_kws.service.records import Heard, Noticed, SinkState, Snapshot
from edge_kws.service.sinks import Sink
from edge_kws.service.sinks.open import open_sink
from edge_kws.service.sources import Doorkeeper, open_source
from edge_kws.service.store import Store
from edge_kws.service.store_writer import StoreWriter
from edge_kws.service.stored import Label, StoredEvent, Verdict
from edge_kws.service.view import Columns

_MISSED_S = 4.0
_TRY_SINKS_S = 30.0


class Service:
    """Composes a config into running inputs, store and sinks. Any thread may call any public method.

    Args:
        config_path: the file, for `reload` and for people.
        config: its content.
        store: where events go.
        source: makes the source of an input.

    Attributes:
        config: in force.
        bus: all records.
        store: events, clips and labels; ask it directly.
    """

    def __init__(
        self,
        config_path: Path,
        config: ServiceConfig,
        store: Store,
        source: Callable[[InputConfig], AudioSource] = open_source,
    ) -> None:
        self.config_path = config_path
        self.config = config
        self.store = store
        self.bus = EventBus()
        self.config_error: str | None = None
        self._open_source = source
        self._doorkeeper = Doorkeeper()
        self._writer = StoreWriter(store, self.bus)
        self._inputs: dict[str, Listening] = {}
        self._sinks: list[tuple[SinkConfig, Sink]] = []
        self._refused: list[tuple[SinkConfig, str]] = []  # sinks that could not start, such as for a port in use; tried again
        self._next_try = 0.0
        self._clip_subscription = self.bus.subscribe()
        self._clipper = threading.Thread(target=self._request_clips, name="clips", daemon=True)
        self._lock = threading.RLock()
        self._first_id = store.new_id()  # an older event is of another run, its positions are not ours
        self._started, self._started_monotonic = time.time(), time.monotonic()

    def start(self) -> None:
        """Loads the packs and starts everything. A sink whose port is in use does not keep the inputs from hearing; see `tick`.

        Raises:
            EdgeKwsError: a pack or sink that cannot be used; nothing was started.
        """
        inputs = {entry.name: load_packs(entry.packs, f"{self.config_path}: input {entry.name}") for entry in self.config.inputs}
        sinks = self._open_sinks(self.config.sinks)
        self._writer.start()
        self._clipper.start()
        for entry in self.config.inputs:
            self._inputs[entry.name] = self._listen(entry, inputs[entry.name])
        for entry, sink in sinks:
            self._start_sink(entry, sink)

    def tick(self) -> None:
        """Called about once a second: tries again to start the sinks that could not."""
        if not self._refused or time.monotonic() < self._next_try:
            return
        with self._lock:
            refused, self._refused = self._refused, []
            for entry, reason in refused:
                try:
                    self._start_sink(entry, open_sink(entry, self), reason)
                except ConfigError as error:
                    self._refused.append((entry, str(error)))

    def _open_sinks(self, entries: Sequence[SinkConfig]) -> list[tuple[SinkConfig, Sink]]:
        """All of them or none."""
        opened: list[tuple[SinkConfig, Sink]] = []
        try:
            for entry in entries:
                opened.append((entry, open_sink(entry, self)))
        except ConfigError:
            for _, sink in opened:
                sink.stop()
            raise
        return opened

    def _start_sink(self, entry: SinkConfig, sink: Sink, known: str = "") -> None:
        try:
            sink.start()
        except ConfigError as error:
            sink.stop()
            self._refused.append((entry, str(error)))
            self._next_try = time.monotonic() + _TRY_SINKS_S
            if str(error) != known:
                log(Level.ERROR, f"{error}; tried again every {_TRY_SINKS_S:.0f} s")
        else:
            self._sinks.append((entry, sink))
            if known:
                log(Level.NOTICE, f"sink {entry.kind}: started")

    def stop(self) -> None:
        """Ends everything; what waits for the disk is written."""
        with self._lock:
            for listening in self._inputs.values():
                listening.stop()
            for _, sink in self._sinks:
                sink.stop()
            self._clip_subscription.close()
            self._writer.stop()

    def reload(self) -> bool:
        """Reads the config again: inputs and sinks that changed are started anew, the others never notice.

        Returns:
            Whether it was taken. A bad one changes nothing; `config_error` and the bus say why.
        """
        with self._lock:
            try:
                config = read_config(self.config_path)
                if config.state_folder != self.config.state_folder or config.page != self.config.page:
                    raise ConfigError(f"{self.config_path}: state_folder and page take a restart: `systemctl restart edge-kws`")
                self._apply(config)
            except EdgeKwsError as error:
                self.config_error = str(error)
                log(Level.ERROR, f"reload refused, the old config stays: {error}")
                self.bus.publish(Noticed(time.time(), "config", f"reload refused, the old config stays: {error}"))
                return False
            self.config_error = None
            log(Level.NOTICE, f"{self.config_path}: reloaded")
            self.bus.publish(Noticed(time.time(), "config", "reloaded"))
            return True

    def _apply(self, config: ServiceConfig) -> None:
        # Everything that can fail comes before anything is stopped.
        old = {entry.name: entry for entry in self.config.inputs}
        fresh = {
            entry.name: load_packs(entry.packs, f"{self.config_path}: input {entry.name}")
            for entry in config.inputs
            if old.get(entry.name) != entry
        }
        old_sinks = [entry for entry, _ in (*self._sinks, *self._refused)]
        fresh_sinks = self._open_sinks([entry for entry in config.sinks if entry not in old_sinks])
        self.config = config
        self.store.retention = config.retention
        for name in list(self._inputs):
            if name in fresh or name not in {entry.name for entry in config.inputs}:
                self._inputs.pop(name).stop()
        for entry in config.inputs:
            if entry.name in fresh:
                self._inputs[entry.name] = self._listen(entry, fresh[entry.name])
        kept = [(entry, sink) for entry, sink in self._sinks if entry in config.sinks]
        for entry, sink in self._sinks:
            if entry not in config.sinks:
                sink.stop()
        self._sinks = kept
        self._refused = [(entry, reason) for entry, reason in self._refused if entry in config.sinks]
        for entry, sink in fresh_sinks:
            self._start_sink(entry, sink)

    def _listen(self, entry: InputConfig, packs: tuple[LoadedPack, ...]) -> Listening:
        listening = Listening(entry, packs, lambda: self._open_source(entry), self._doorkeeper, self.bus, self.store.new_id)
        for (name, pack), threshold in self.store.thresholds().items():
            if name == entry.name and pack in {loaded.name for loaded in packs}:
                listening.set_threshold(pack, threshold)
        listening.start()
        return listening

    # ---- what people and sinks ask ----

    @property
    def inputs(self) -> dict[str, Listening]:
        """The inputs by name, in the config's order."""
        return {entry.name: self._inputs[entry.name] for entry in self.config.inputs if entry.name in self._inputs}

    def snapshot(self) -> Snapshot:
        """The whole daemon now."""
        return Snapshot(
            version=__version__,
            started=self._started,
            uptime_s=time.monotonic() - self._started_monotonic,
            config_path=str(self.config_path),
            config_error=self.config_error,
            rss_bytes=_rss_bytes(),
            inputs=tuple(listening.state() for listening in self.inputs.values()),
            sinks=(*(sink.state() for _, sink in self._sinks), *(_refused_state(entry, reason) for entry, reason in self._refused)),
            store=self._writer.state(),
        )

    def subscribe(self, size: int = 256) -> Subscription:
        """All records from now on."""
        return self.bus.subscribe(size)

    def columns(self, input_name: str, after: int = -1) -> Columns:
        """An input's spectrogram after column `after`, at most the last minute. Raises ConfigError: no such input."""
        return self._input(input_name).columns(after)

    def clip(self, event: int) -> bytes | None:
        """An event's audio as a WAV file: from disk if kept, else from RAM while it is still there; None when it has gone."""
        kept = self.store.clip(event)
        stored = None if kept is not None else self.store.event(event)
        if stored is None or stored.event.input not in self._inputs or event < self._first_id:
            return kept
        ring = self._inputs[stored.event.input].ring
        start, end = self._clip_span(stored.event)
        pcm = ring.copy_if_kept(max(start, 0), min(end, ring.position)) if stored.event.end <= ring.position else None
        return None if pcm is None else wav_bytes(pcm)

    # ---- what people say ----

    def label(self, event: int, verdict: Verdict | None) -> StoredEvent | None:
        """See `Store.label`."""
        return self.store.label(event, verdict)

    def missed(self, input_name: str, pack: str, label: str) -> Label:
        """Says that a label of a pack was missed in the last seconds; with retention on, those are filed as an example of it.

        Raises:
            ConfigError: no such input, pack or label.
            StoreError: the disk refuses.
        """
        listening = self._input(input_name)
        loaded = self._pack(listening, pack)
        if label not in loaded.pack.labels:
            raise ConfigError(f"label {label!r}: expected one of {', '.join(loaded.pack.labels)}")
        ring, count = listening.ring, round(_MISSED_S * SAMPLE_RATE_HZ)
        end = ring.position
        return self.store.add_missed(input_name, pack, label, ring.copy_if_kept(max(0, end - count), end))

    def set_threshold(self, input_name: str, pack: str, threshold: float | None) -> None:
        """Puts a threshold, 0..1, in force at once and over restarts; None: the configured one again.

        Raises:
            ConfigError: no such input or pack, or a value out of range.
            StoreError: the disk refuses; nothing changed.
        """
        listening = self._input(input_name)
        self._pack(listening, pack)
        if threshold is not None and not 0 < threshold <= 1:
            raise ConfigError(f"threshold: expected more than 0 and at most 1, found {threshold}")
        self.store.set_threshold(input_name, pack, threshold)
        listening.set_threshold(pack, threshold)

    def _input(self, name: str) -> Listening:
        if name not in self._inputs:
            raise ConfigError(f"input {name!r}: expected one of {', '.join(self._inputs)}")
        return self._inputs[name]

    def _pack(self, listening: Listening, name: str) -> LoadedPack:
        for loaded in listening.packs:
            if loaded.name == name:
                return loaded
        raise ConfigError(f"pack {name!r}: expected one of {', '.join(loaded.name for loaded in listening.packs)}")

    # ---- clips ----

    def _clip_span(self, event: Heard) -> tuple[int, int]:
        retention = self.config.retention
        return event.end - round(retention.before_s * SAMPLE_RATE_HZ), event.end + round(retention.after_s * SAMPLE_RATE_HZ)

    def _request_clips(self) -> None:
        while (record := self._clip_subscription.get()) is not None or not self._clip_subscription.closed:
            if isinstance(record, Heard) and self.config.retention.clips and record.input in self._inputs:
                self._inputs[record.input].when_heard(*self._clip_span(record), self._keep(record))

    def _keep(self, event: Heard) -> Callable[[int, NDArray[np.int16]], None]:
        return lambda start, pcm: self._writer.keep_clip(event, pcm) if len(pcm) else None


def _refused_state(entry: SinkConfig, reason: str) -> SinkState:
    return SinkState(entry.kind, entry.kind, "failing", reason, 0, 0, 0)


def _rss_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except (OSError, ValueError):
        return 0
