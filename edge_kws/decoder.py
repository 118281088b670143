"""Posteriors to detections: configuration of, and binding to, the C decoder in `firmware/src/decoder.c`."""

import ctypes
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConfigError
from edge_kws.native import address, library

_NEVER: Final = 65535
_MAX_CLASSES: Final = 64
_MAX_AVERAGE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """How posteriors become detections.

    Attributes:
        thresholds: for each class 0..1 on the moving average; None: the class never fires.
        average_window: posteriors averaged, 1..64.
        min_consecutive: steps in a row at or above threshold before firing, 1..255.
        refractory_steps: steps after a detection in which nothing fires, 0..65535.

    Raises:
        ConfigError: a value out of range.
    """

    thresholds: tuple[float | None, ...]
    average_window: int = 1
    min_consecutive: int = 1
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        _check_range("number of thresholds", len(self.thresholds), 1, _MAX_CLASSES)
        _check_range("average_window", self.average_window, 1, _MAX_AVERAGE)
        _check_range("min_consecutive", self.min_consecutive, 1, 255)
        _check_range("refractory_steps", self.refractory_steps, 0, 65535)
        for threshold in self.thresholds:
            if threshold is not None:
                _check_range("threshold", threshold, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "thresholds": list(self.thresholds)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DecoderConfig":
        """Inverse of `to_dict`.

        Raises:
            ConfigError: a missing or unknown key, or a value of the wrong type or range.
        """
        rest = {"average_window": 1, "min_consecutive": 1, "refractory_steps": 0}
        unknown = set(values) - {"thresholds", *rest}
        if unknown or not isinstance(values.get("thresholds"), list | tuple):
            raise ConfigError(f"decoder: expected keys thresholds, {', '.join(rest)}, found {', '.join(map(str, values)) or 'none'}")
        thresholds: list[float | None] = []
        for value in values["thresholds"]:
            if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
                raise ConfigError(f"decoder: threshold: expected a number or null, found {value!r}")
            thresholds.append(None if value is None else float(value))
        for key in rest.keys() & values.keys():
            if not isinstance(values[key], int) or isinstance(values[key], bool):
                raise ConfigError(f"decoder: {key}: expected an integer, found {values[key]!r}")
            rest[key] = values[key]
        return cls(thresholds=tuple(thresholds), **rest)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"decoder: {name}: expected {low}..{high}, found {value}")


def _scaled(threshold: float) -> int:
    return min(_NEVER - 1, round(threshold * 65536))


@dataclass(frozen=True, slots=True)
class Detection:
    """A class fired: `step` counts posteriors from reset (0 is the first), `score` is the moving average, 0..1."""

    step: int
    class_index: int
    score: float


class _ConfigC(ctypes.Structure):
    _fields_ = (
        ("classes", ctypes.c_uint8),
        ("average_window", ctypes.c_uint8),
        ("min_consecutive", ctypes.c_uint8),
        ("refractory_steps", ctypes.c_uint16),
        ("thresholds", ctypes.c_void_p),
    )


class _DecoderC(ctypes.Structure):
    _fields_ = (
        ("config", ctypes.POINTER(_ConfigC)),
        ("seen", ctypes.c_uint8),
        ("slot", ctypes.c_uint8),
        ("waiting", ctypes.c_uint16),
        ("consecutive", ctypes.c_uint8 * _MAX_CLASSES),
        ("sums", ctypes.c_uint16 * _MAX_CLASSES),
        ("recent", ctypes.c_uint8 * (_MAX_AVERAGE * _MAX_CLASSES)),
    )


class _DetectionC(ctypes.Structure):
    _fields_ = (("step", ctypes.c_uint32), ("score", ctypes.c_uint16), ("class_index", ctypes.c_uint16))


class Decoder:
    """Streams posteriors through the C decoder; silent until `average_window` posteriors have been seen."""

    def __init__(self, config: DecoderConfig) -> None:
        self.config = config
        self._library = library()
        self._library.ekws_decoder_score.restype = ctypes.c_uint16
        self._process = self._library.ekws_decoder_process
        self._process.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
        scaled = [_NEVER if t is None else _scaled(t) for t in config.thresholds]
        self._thresholds = np.array(scaled, np.uint16)
        self._config = _ConfigC(
            len(scaled), config.average_window, config.min_consecutive, config.refractory_steps, self._thresholds.ctypes.data
        )
        self._decoder = _DecoderC()
        if self._library.ekws_decoder_init(ctypes.byref(self._decoder), ctypes.byref(self._config)) != 0:
            raise ConfigError(f"decoder: the C library refused {config}")
        self._self = ctypes.byref(self._decoder)
        self._found = (_DetectionC * 1)()
        self._steps = 0

    def set_threshold(self, threshold: float | None) -> None:
        """Sets the threshold of every class that can fire, from the next posterior on; None: each its own again.

        Raises:
            ConfigError: outside 0..1.
        """
        if threshold is not None:
            _check_range("threshold", threshold, 0.0, 1.0)
        # The C side keeps a pointer to this array and reads one element at a time: no thread sees half a change.
        for i, own in enumerate(self.config.thresholds):
            if own is not None:
                self._thresholds[i] = _scaled(own if threshold is None else threshold)

    def reset(self) -> None:
        """Forgets all posteriors; the next one is step 0."""
        self._steps = 0
        self._library.ekws_decoder_reset(self._self)

    def process(self, posteriors: NDArray[np.int8]) -> list[Detection]:
        """Consumes posteriors (steps, classes) int8, scale 1/256, zero point -128.

        Raises:
            ConfigError: another shape or dtype.
        """
        if posteriors.ndim != 2 or posteriors.shape[1] != len(self._thresholds) or posteriors.dtype != np.int8:
            expected = f"(steps, {len(self._thresholds)}) int8"
            raise ConfigError(f"decoder: expected posteriors {expected}, found {posteriors.shape} {posteriors.dtype}")
        posteriors = np.ascontiguousarray(posteriors)
        if len(posteriors) > len(self._found):
            self._found = (_DetectionC * len(posteriors))()
        found = self._found
        count = self._process(self._self, address(posteriors), len(posteriors), found, len(found))
        first, self._steps = self._steps, self._steps + len(posteriors)
        return [Detection(first + d.step, d.class_index, d.score / 65536) for d in found[:count]] if count else []

    def smoothed(self) -> NDArray[np.float32]:
        """Current moving averages (classes,), 0..1."""
        scores = [self._library.ekws_decoder_score(ctypes.byref(self._decoder), ctypes.c_size_t(i)) for i in range(len(self._thresholds))]
        return np.array(scores, np.float32) / np.float32(65536)
