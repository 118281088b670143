"""From a sink's config to the sink. Each module is imported when it is needed, so that nobody pays for libraries of other sinks."""

from typing import TYPE_CHECKING

from edge_kws.errors import ConfigError
from edge_kws.service.config import JsonlConfig, SinkConfig
from edge_kws.service.sinks import Sink

if TYPE_CHECKING:
    from edge_kws.service.engine import Service


def open_sink(config: SinkConfig, service: "Service") -> Sink:
    """A sink, not yet started. Raises ConfigError where its library is missing."""
    if isinstance(config, JsonlConfig):
        from edge_kws.service.sinks.jsonl import JsonlSink

        return JsonlSink(config, service.bus)
    raise ConfigError(f"sink {config.kind}: not yet there")
