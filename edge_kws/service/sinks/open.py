"""From a sink's config to the sink. Each module is imported when it is needed, so that nobody pays for libraries of other sinks."""

from importlib import import_module
from typing import TYPE_CHECKING

from edge_kws.errors import ConfigError
from edge_kws.service.config import SinkConfig
from edge_kws.service.sinks import Sink

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_SINKS = {
    "jsonl": "JsonlSink",
    "command": "CommandSink",
    "webhook": "WebhookSink",
    "mqtt": "MqttSink",
    "wyoming": "WyomingSink",
    "prometheus": "PrometheusSink",
}


def open_sink(config: SinkConfig, service: "Service") -> Sink:
    """A sink, not yet started. Raises ConfigError where its library or a file it needs is missing."""
    try:
        module = import_module(f"edge_kws.service.sinks.{config.kind}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"sink {config.kind}: needs {error.name}, which is not installed; next: pip install 'edge-kws[service]'"
        ) from None
    return getattr(module, _SINKS[config.kind])(config, service)
