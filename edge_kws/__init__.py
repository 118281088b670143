"""Keyword spotting on the device.

    from edge_kws import Detector, WavFile

    with Detector.from_pack("commands") as detector:
        for event in detector.listen(WavFile("speech.wav")):
            print(event)

The names below load on first use: `import edge_kws` costs nothing and never imports TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_kws.audio.file import WavFile
    from edge_kws.audio.microphone import Microphone
    from edge_kws.audio.stdin import RawStdin
    from edge_kws.detector import Detector
    from edge_kws.events import Event, Gap
    from edge_kws.frontend import Frontend, FrontendConfig
    from edge_kws.pack import Pack

__version__ = "0.1.0"

__all__ = [
    "Detector",
    "Event",
    "Frontend",
    "FrontendConfig",
    "Gap",
    "Microphone",
    "Pack",
    "RawStdin",
    "WavFile",
    "__version__",
]

_HOMES = {
    "Detector": "detector",
    "Event": "events",
    "Frontend": "frontend",
    "FrontendConfig": "frontend",
    "Gap": "events",
    "Microphone": "audio.microphone",
    "Pack": "pack",
    "RawStdin": "audio.stdin",
    "WavFile": "audio.file",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
