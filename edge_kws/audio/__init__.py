"""Audio sources and the ring buffer that feeds detectors."""

from edge_kws.audio.devices import InputDevice, list_devices
from edge_kws.audio.file import WavFile
from edge_kws.audio.microphone import Microphone
from edge_kws.audio.resample import Resampler
from edge_kws.audio.ring_buffer import Reader, RingBuffer
from edge_kws.audio.source import AudioSource
from edge_kws.audio.stdin import RawStdin

__all__ = ["AudioSource", "InputDevice", "Microphone", "RawStdin", "Reader", "Resampler", "RingBuffer", "WavFile", "list_devices"]
