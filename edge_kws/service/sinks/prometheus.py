"""Metrics for Prometheus, computed when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_kws.errors import ConfigError
from edge_kws.service.config import PrometheusConfig
from edge_kws.service.records import InputState, InputStatus, SinkState, Snapshot

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_State = TypeVar("_State", InputState, SinkState)
_Metrics = dict[str, tuple[str, Callable[[_State], float | None]]]

_INPUT_GAUGES: _Metrics[InputState] = {
    "edge_kws_input_listening": ("1 while the input is heard.", lambda s: s.status == InputStatus.LISTENING),
    "edge_kws_input_seconds_since_audio": ("Since the last block of audio.", lambda s: s.seconds_since_audio),
    "edge_kws_input_level_dbfs": ("Mean power of the last block.", lambda s: s.level_dbfs),
    "edge_kws_input_load_ratio": ("Work in seconds per second of audio.", lambda s: s.load),
    "edge_kws_input_packs_shed": ("Packs switched off because the machine is too slow.", lambda s: sum(pack.shed for pack in s.packs)),
}
_INPUT_COUNTERS: _Metrics[InputState] = {
    "edge_kws_input_events": ("Detections.", lambda s: s.events),
    "edge_kws_input_lost_seconds": ("Audio lost, for whatever reason.", lambda s: s.lost_samples / 16_000),
    "edge_kws_input_overruns": ("Losses the device reported.", lambda s: s.overruns),
    "edge_kws_input_laps": ("Losses because we were too slow.", lambda s: s.laps),
    "edge_kws_input_reconnects": ("Times the source was opened again.", lambda s: s.reconnects),
}
_SINK_COUNTERS: _Metrics[SinkState] = {
    "edge_kws_sink_delivered": ("Records delivered.", lambda s: s.delivered),
    "edge_kws_sink_dropped": ("Records lost.", lambda s: s.dropped),
}


class PrometheusSink:
    """An HTTP server that answers with the daemon's state."""

    def __init__(self, config: PrometheusConfig, service: "Service") -> None:
        self._config = config
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(service))
        self._server: Any = None
        self._thread: Any = None

    def start(self) -> None:
        """Opens the port. Raises ConfigError where that cannot be."""
        where = f"{self._config.host}:{self._config.port}"
        try:
            self._server, self._thread = start_http_server(self._config.port, self._config.host, self._registry)
        except OSError as error:
            raise ConfigError(f"sink prometheus: {where}: expected a free port, found: {error.strerror}; choose another `port`") from None

    def stop(self) -> None:
        """Closes the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)

    def state(self) -> SinkState:
        """Always well: it is asked, it does not send."""
        return SinkState("prometheus", "prometheus", "ok", "", 0, 0, 0)


class _Collector(Collector):
    def __init__(self, service: "Service") -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing is known before there is a state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        snapshot = self._service.snapshot()
        inputs = {state.name: state for state in snapshot.inputs}
        sinks = {state.name: state for state in snapshot.sinks}
        yield from _family(GaugeMetricFamily, _INPUT_GAUGES, "input", inputs)
        yield from _family(CounterMetricFamily, _INPUT_COUNTERS, "input", inputs)
        yield from _family(CounterMetricFamily, _SINK_COUNTERS, "sink", sinks)
        yield from _of_the_daemon(snapshot)


def _family(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    metrics: _Metrics[_State],
    label: str,
    states: Mapping[str, _State],
) -> Iterator[Metric]:
    for name, (text, value) in metrics.items():
        family = kind(name, text, labels=[label])
        for key, state in states.items():
            found = value(state)
            if found is not None:
                family.add_metric([key], found)
        yield family


def _of_the_daemon(snapshot: Snapshot) -> Iterator[Metric]:
    store = snapshot.store
    yield GaugeMetricFamily("edge_kws_resident_memory_bytes", "Memory of the daemon.", snapshot.rss_bytes)
    yield GaugeMetricFamily("edge_kws_retention_enabled", "1 while clips are kept on disk.", float(store.retention))
    yield GaugeMetricFamily("edge_kws_clips", "Clips on disk.", store.clips)
    yield GaugeMetricFamily("edge_kws_clip_bytes", "Their size.", store.clip_bytes)
    yield GaugeMetricFamily("edge_kws_store_failing", "1 while the disk refuses.", float(store.status != "ok"))
    yield CounterMetricFamily("edge_kws_store_lost", "Events and clips that could not be kept.", store.lost)
    yield GaugeMetricFamily(
        "edge_kws_config_refused", "1 while the config file is not the one in force.", float(bool(snapshot.config_error))
    )
