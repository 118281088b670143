"""The support bundle: what somebody who helps needs to know. No audio unless asked for, never a secret."""

import io
import json
import platform
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge_kws import __version__

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_EVENTS = 1000
_CHANGES = 1000
_AUDIO_BYTES = 4_000_000
_HIDDEN = "(left out)"
_README = """\
Support bundle of edge_kws.
state.json    inputs, packs, sinks and store at this moment
config.json   the config in force; passwords, headers, and the arguments of commands are left out
events.jsonl  the last {events} events, newest first
changes.jsonl status changes and notices, newest first
labels.jsonl  what people said of events
packs.json    name, version, hash and origin of each pack
audio/        {audio}
"""


def bundle(service: "Service", *, audio: bool) -> bytes:
    """A zip file, at most about 6 MB. Raises StoreError: the disk refuses."""
    events = service.store.events(_EVENTS)
    members: dict[str, str] = {
        "README.txt": _README.format(events=_EVENTS, audio="kept clips, the newest 4 MB" if audio else "not asked for, not included"),
        "state.json": _pretty({**service.snapshot().to_json(), "python": platform.python_version(), "machine": platform.platform()}),
        "config.json": _pretty(hide_secrets(service.config.model_dump(mode="json"))),
        "events.jsonl": _lines(event.to_json() for event in events),
        "changes.jsonl": _lines(change.to_json() for change in service.store.changes(_CHANGES)),
        "labels.jsonl": _lines(_label(label) for label in service.store.labels()[-_EVENTS:]),
        "packs.json": _pretty(_packs(service)),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(f"edge_kws-support/{name}", text)
        if audio:
            left = _AUDIO_BYTES
            for stored in events:
                data = service.store.clip(stored.event.id) if stored.has_clip else None
                if data is not None and len(data) <= left:
                    left -= len(data)
                    archive.writestr(f"edge_kws-support/audio/{stored.event.id}.wav", data)
    return buffer.getvalue()


def hide_secrets(config: dict[str, Any]) -> dict[str, Any]:
    """The config without what may be secret: headers, user names, paths and queries of URLs, arguments of commands."""
    sinks: list[dict[str, Any]] = []
    for sink in config["sinks"]:
        shown = dict(sink)
        if "url" in shown:
            parts = urlsplit(str(shown["url"]))
            shown["url"] = f"{parts.scheme}://{parts.hostname}/{_HIDDEN}"
        if "headers" in shown:
            shown["headers"] = dict.fromkeys(shown["headers"], _HIDDEN)
        if "command" in shown:
            shown["command"] = [shown["command"][0], *(_HIDDEN for _ in shown["command"][1:])]
        if shown.get("username") is not None:
            shown["username"] = _HIDDEN
        sinks.append(shown)
    return {**config, "sinks": sinks}


def _packs(service: "Service") -> list[dict[str, Any]]:
    return [
        {
            "input": name,
            "name": loaded.name,
            "version": loaded.pack.info.version,
            "model_sha256": loaded.pack.info.model_sha256,
            "signature": loaded.signature,
            "provenance": loaded.pack.info.provenance.model_dump(mode="json"),
            "quality": [row.model_dump(mode="json") for row in loaded.pack.info.quality],
        }
        for name, listening in service.inputs.items()
        for loaded in listening.packs
    ]


def _label(label: Any) -> dict[str, Any]:
    return {key: getattr(label, key) for key in ("id", "event", "time", "input", "pack", "label", "verdict")}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _lines(rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def file_name() -> str:
    """What the download is called."""
    return f"edge_kws-support-{__version__}.zip"
