"""MQTT with Home Assistant discovery: each input is a sensor of its status, each pack on it an event entity.

TOPIC/NODE/availability          online | offline (retained; offline is the last will)
TOPIC/NODE/INPUT/state           {"status", "detail", "since", "lost_seconds", "shed"} (retained)
TOPIC/NODE/INPUT/PACK/event      {"event_type": the label, "score", "time", "id"}
DISCOVERY/device/NODE/config     what Home Assistant makes of them (retained)
"""

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge_kws import __version__
from edge_kws.errors import ConfigError
from edge_kws.service.config import MqttConfig
from edge_kws.service.log import Level, log
from edge_kws.service.records import Heard, InputState, PackState, Record, SinkState
from edge_kws.service.sinks.worker import Worker

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_KEEPALIVE_S = 15
_PATIENCE_S = 10.0  # an old wake word must not switch anything on
_STATUSES = ["starting", "listening", "silent", "away", "ended", "stopped"]


class MqttSink:
    """Publishes to a broker and reconnects for ever. While it has been away for more than ten seconds, events are dropped, counted."""

    def __init__(self, config: MqttConfig, service: "Service") -> None:
        self._config = config
        self._service = service
        self._node = config.node or re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower())[:40]
        self._base = f"{config.topic}/{self._node}"
        self._worker = Worker("mqtt", service.bus, self._deliver, lambda r: not isinstance(r, Heard) or config.wants(r.pack))
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"edge_kws_{self._node}")
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._detail = "not connected yet"
        self._away_since = time.monotonic()
        self._components: dict[str, dict[str, Any]] = {}
        self._prepare(self._client)

    def _prepare(self, client: Client) -> None:
        config = self._config
        if config.username is not None:
            client.username_pw_set(config.username, _password(config))
        if config.tls:
            client.tls_set_context(ssl.create_default_context())  # pyright: ignore[reportUnknownMemberType]
        client.will_set(f"{self._base}/availability", "offline", qos=1, retain=True)
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.max_queued_messages_set(1000)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect

    def start(self) -> None:
        """Begins to connect."""
        self._client.connect_async(self._config.host, self._config.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        self._worker.start()

    def stop(self) -> None:
        """Says that nobody is there any more, and leaves."""
        self._stopping.set()
        self._worker.stop()
        if self._connected.is_set():
            _wait(self._client.publish(f"{self._base}/availability", "offline", qos=1, retain=True))
        self._client.disconnect()
        self._client.loop_stop()

    def state(self) -> SinkState:
        """How the sink is now."""
        state = self._worker.state()
        status = "ok" if self._connected.is_set() else "connecting"
        return SinkState("mqtt", "mqtt", status, self._detail or state.detail, state.delivered, state.dropped, state.queued)

    # ---- paho's thread ----

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._become(f"{self._config.host} refuses: {reason}")
            return
        self._become("")
        self._connected.set()
        client.publish(f"{self._base}/availability", "online", qos=1, retain=True)
        self._announce(afresh=True)

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if self._connected.is_set():
            self._away_since = time.monotonic()
        self._connected.clear()
        if not self._stopping.is_set():
            self._become(f"lost {self._config.host} ({reason}); tries again")

    def _become(self, detail: str) -> None:
        if detail != self._detail:
            log(Level.WARNING if detail else Level.NOTICE, f"sink mqtt: {detail or 'connected'}")
        self._detail = detail

    # ---- what is published ----

    def _deliver(self, record: Record) -> None:
        if not isinstance(record, Heard):
            if self._connected.is_set():
                self._announce()
            return
        while not self._connected.wait(0.2):
            if self._stopping.is_set() or time.monotonic() - self._away_since > _PATIENCE_S:
                raise ConnectionError(f"no broker for {_PATIENCE_S:.0f} s; an event is lost")
        event = {"event_type": record.label, "score": round(record.score, 3), "time": record.time, "id": record.id}
        # QoS 0: what is not sent now must not be sent by the library when the broker returns.
        sent = self._client.publish(f"{self._base}/{record.input}/{record.pack}/event", json.dumps(event), qos=0)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError("the broker went just now; an event is lost")

    def _announce(self, *, afresh: bool = False) -> None:
        """Discovery, where it changed or the broker may have forgotten it, and the state of every input; everything retained."""
        snapshot = self._service.snapshot()
        components: dict[str, dict[str, Any]] = {}
        for state in snapshot.inputs:
            components |= self._components_of(state)
            self._client.publish(f"{self._base}/{state.name}/state", json.dumps(_state(state)), qos=1, retain=True)
        if afresh or components != self._components:
            gone = {key: {"platform": old["platform"]} for key, old in self._components.items() if key not in components}
            self._publish_discovery({**components, **gone})
            self._components = components

    def _publish_discovery(self, components: Mapping[str, Mapping[str, Any]]) -> None:
        document = {
            "device": {"identifiers": [f"edge_kws_{self._node}"], "name": f"edge_kws {self._node}", "sw_version": __version__},
            "origin": {"name": "edge_kws", "sw_version": __version__},
            "availability_topic": f"{self._base}/availability",
            "components": components,
        }
        topic = f"{self._config.discovery}/device/edge_kws_{self._node}/config"
        self._client.publish(topic, json.dumps(document), qos=1, retain=True)

    def _components_of(self, state: InputState) -> dict[str, dict[str, Any]]:
        topic = f"{self._base}/{state.name}/state"
        status = {
            "platform": "sensor",
            "unique_id": f"edge_kws_{self._node}_{state.name}_status",
            "name": f"{state.name} status",
            "device_class": "enum",
            "options": _STATUSES,
            "state_topic": topic,
            "value_template": "{{ value_json.status }}",
            "json_attributes_topic": topic,
            "entity_category": "diagnostic",
            "icon": "mdi:microphone",
        }
        problem = {
            "platform": "binary_sensor",
            "unique_id": f"edge_kws_{self._node}_{state.name}_problem",
            "name": f"{state.name} not heard",
            "device_class": "problem",
            "state_topic": topic,
            "value_template": "{{ 'OFF' if value_json.status == 'listening' else 'ON' }}",
            "entity_category": "diagnostic",
        }
        events = {f"{state.name}_{pack.name}": self._event_entity(state, pack) for pack in state.packs if self._config.wants(pack.name)}
        return {f"{state.name}_status": status, f"{state.name}_problem": problem, **events}

    def _event_entity(self, state: InputState, pack: PackState) -> dict[str, Any]:
        return {
            "platform": "event",
            "unique_id": f"edge_kws_{self._node}_{state.name}_{pack.name}",
            "name": f"{state.name} {pack.name}",
            "event_types": [label for label, fires in zip(pack.labels, pack.fires, strict=True) if fires],
            "state_topic": f"{self._base}/{state.name}/{pack.name}/event",
            "icon": "mdi:ear-hearing",
        }


def _state(state: InputState) -> dict[str, Any]:
    return {
        "status": state.status.value,
        "detail": state.detail,
        "since": round(state.since, 1),
        "lost_seconds": round(state.lost_samples / 16_000, 1),
        "shed": [pack.name for pack in state.packs if pack.shed],
    }


def _password(config: MqttConfig) -> str | None:
    if config.password_file is None:
        return None
    try:
        return config.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "bytes that are not UTF-8"
        raise ConfigError(f"sink mqtt: {config.password_file}: expected the password, found {found}; correct `password_file`") from None


def _wait(sent: MQTTMessageInfo) -> None:
    try:
        sent.wait_for_publish(2)
    except (RuntimeError, ValueError):  # the connection went just now
        return
