"""Opens what an input's config names."""

from edge_kws.audio.microphone import Microphone
from edge_kws.audio.source import AudioSource
from edge_kws.audio.stdin import RawStdin
from edge_kws.service.config import InputConfig, MicrophoneConfig


def open_source(config: InputConfig) -> AudioSource:
    """A source, not yet open."""
    return Microphone(config.device) if isinstance(config, MicrophoneConfig) else RawStdin()
