"""The daemon's configuration: one TOML file, validated once, frozen inside."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from edge_kws.errors import ConfigError

MAX_CONFIG_BYTES = 1 << 20
PRIORITIES = {"wake_word": 30, "keywords": 30, "sound_events": 20, "scenes": 10}
"""What is shed first when the machine is too slow: the lowest."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Argument = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")]
_Seconds = Annotated[float, Field(ge=0, le=30)]
_HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Fraction = Annotated[float, Field(gt=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class PackConfig(_Section):
    """A pack on an input."""

    pack: _Line = Field(description="a shipped pack's name or a path")
    threshold: _Fraction | None = Field(default=None, description="in place of the pack's own")
    priority: int | None = Field(default=None, ge=0, le=1000, description="the lowest is shed first; wake words 30, sounds 20, scenes 10")
    public_key: Path | None = Field(default=None, description="PEM file; the pack must be signed by its private half")
    unsigned: bool = Field(default=False, description="load a pack from elsewhere although nobody signed it")


class _Input(_Section):
    name: _Name
    packs: tuple[PackConfig, ...] = Field(min_length=1, max_length=32)
    silence_s: float = Field(default=60, ge=1, le=86_400, description="digital silence for this long is reported, and the source reopened")


class MicrophoneConfig(_Input):
    """A capture device, by part of its name."""

    source: Literal["microphone"] = "microphone"
    device: _Line | None = Field(default=None, description="part of the name, see `edge-kws devices`; None: the system's default")


class StdinConfig(_Input):
    """Raw 16 kHz mono s16le on standard input."""

    source: Literal["stdin"]


InputConfig = Annotated[MicrophoneConfig | StdinConfig, Field(discriminator="source")]


class _Sink(_Section):
    packs: tuple[_Name, ...] | None = Field(default=None, description="names of the packs it takes; None: all")

    def wants(self, pack: str) -> bool:
        """Whether events of this pack go to the sink."""
        return self.packs is None or pack in self.packs


class JsonlConfig(_Sink):
    """One line of JSON a record, on standard output or appended to a file."""

    kind: Literal["jsonl"]
    path: Path | None = None
    max_bytes: int = Field(default=10_000_000, ge=10_000, description="then the file becomes `path.1`, in place of an older one")


class CommandConfig(_Sink):
    """Starts a program for each event; no shell. The event is JSON in EDGE_KWS_EVENT, its audio WAV on standard input."""

    kind: Literal["command"]
    command: tuple[_Argument, ...] = Field(min_length=1, max_length=64)
    timeout_s: float = Field(default=30, gt=0, le=3600)
    before_s: _Seconds = Field(default=0, description="audio before the end of the event's window")
    after_s: _Seconds = Field(default=0, description="audio after it; both 0: no audio")


class WebhookConfig(_Sink):
    """POSTs each event as JSON; retried from a queue on disk that holds at most `queue` events."""

    kind: Literal["webhook"]
    url: _Line
    headers: dict[_Line, _Line] = Field(default_factory=dict, max_length=32)
    timeout_s: float = Field(default=10, gt=0, le=120)
    queue: int = Field(default=1000, ge=1, le=100_000)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("expected http://HOST/... or https://HOST/...")
        return url


class MqttConfig(_Sink):
    """Home Assistant discovery, states and events on an MQTT broker."""

    kind: Literal["mqtt"]
    host: _Line
    port: _Port = 1883
    username: _Line | None = None
    password_file: Path | None = None
    tls: bool = False
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=200)] = "edge_kws"
    discovery: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)] = "homeassistant"
    node: _Name | None = Field(default=None, description="this machine's name; None: its host name")


class WyomingConfig(_Sink):
    """A Wyoming server: wake service (clients send audio), and satellite (we stream a microphone after a wake word)."""

    kind: Literal["wyoming"]
    host: _Line = "127.0.0.1"
    port: _Port = 10_700
    role: Literal["wake", "satellite"]
    input: _Name | None = Field(default=None, description="satellite: the input whose audio is streamed; None: the first")
    before_s: _Seconds = Field(default=1.0, description="satellite: audio before the end of the wake word's window")
    listen_s: float = Field(default=15, gt=0, le=120, description="satellite: stop by itself after this long")


class PrometheusConfig(_Section):
    """Metrics over HTTP for Prometheus."""

    kind: Literal["prometheus"]
    host: _Line = "127.0.0.1"
    port: _Port = 9477


SinkConfig = Annotated[
    JsonlConfig | CommandConfig | WebhookConfig | MqttConfig | WyomingConfig | PrometheusConfig, Field(discriminator="kind")
]


class RetentionConfig(_Section):
    """Whether audio of events is kept on disk. Off: audio stays in RAM."""

    clips: bool = False
    budget_mb: float = Field(default=200, gt=0, le=1_000_000)
    before_s: _Seconds = Field(default=2.0, description="audio before the end of the event's window")
    after_s: _Seconds = 1.0
    events: int = Field(default=100_000, ge=100, le=10_000_000, description="rows of the event table; the oldest go first")


class PageConfig(_Section):
    """The web page."""

    enabled: bool = True
    host: _Line = "127.0.0.1"
    port: _Port = 8765
    hosts: tuple[_HostName, ...] = Field(default=(), max_length=32, description="names under which a reverse proxy shows the page")


class ServiceConfig(_Section):
    """The whole file."""

    state_folder: Path | None = Field(default=None, description="database and clips; None: systemd's, else ~/.local/state/edge_kws")
    inputs: tuple[InputConfig, ...] = Field(min_length=1, max_length=16)
    sinks: tuple[SinkConfig, ...] = Field(default=(), max_length=32)
    retention: RetentionConfig = RetentionConfig()
    page: PageConfig = PageConfig()

    @model_validator(mode="before")
    @classmethod
    def _default_source(cls, values: object) -> object:
        """An input that does not name its source is a microphone."""
        inputs: object = values.get("inputs") if isinstance(values, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(inputs, list):
            for entry in inputs:  # pyright: ignore[reportUnknownVariableType]
                if isinstance(entry, dict):
                    entry.setdefault("source", "microphone")  # pyright: ignore[reportUnknownMemberType]
        return values  # pyright: ignore[reportUnknownVariableType]

    @model_validator(mode="after")
    def _coherent(self) -> "ServiceConfig":
        names = [entry.name for entry in self.inputs]
        if len(set(names)) != len(names):
            raise ValueError(f"inputs: expected different names, found {', '.join(names)}")
        if sum(entry.source == "stdin" for entry in self.inputs) > 1:
            raise ValueError("inputs: expected standard input once, found it twice")
        for sink in self.sinks:
            if isinstance(sink, WyomingConfig) and sink.input is not None and sink.input not in names:
                raise ValueError(f"sinks: wyoming input: expected one of {', '.join(names)}, found {sink.input}")
        return self


def read_config(path: Path) -> ServiceConfig:
    """Reads and validates the file.

    Raises:
        ConfigError: no such file, not TOML, an unknown or missing key, a value out of range.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        if len(data) > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: expected a config of at most {MAX_CONFIG_BYTES} bytes, found more; give another file")
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "bytes that are not UTF-8"
        raise ConfigError(f"{path}: expected a config (TOML), found {found}; start from `edge-kws service config --example`") from None
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> ServiceConfig:
    """Validates a config's text; `where` names it in errors. Raises ConfigError."""
    try:
        return ServiceConfig.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: expected TOML, found {error}; correct that line") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "config"
        message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        found = "" if first["type"] == "value_error" or "found" in message else f", found {_found(first['type'], first.get('input'))}"
        raise ConfigError(f"{where}: {key}: {message}{found}; see `edge-kws service config --example`") from None


def _found(kind: str, value: object) -> str:
    return "nothing" if kind == "missing" else ascii(value)[:80]
