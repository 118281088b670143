"""The front end's configuration, its tables, and the binding to the C code in `firmware/src`.

Every number the C code uses comes from `FrontendConfig`: `spectrum_tables` and `bank_tables` compute window, FFT twiddles, mel
weights, gain and log tables once, in floating point; the C code then runs in integers only.

The algorithm is the published TensorFlow Lite Micro "microfrontend": Hann window, real FFT, mel filter bank, optional noise
reduction and PCAN gain control (Wang et al., "Trainable frontend for robust and far-field keyword spotting", ICASSP 2017), logarithm.
"""

import ctypes
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import FrontendError
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.native import address, library

_Scalar = TypeVar("_Scalar", bound=np.generic)

FFT_SAMPLES: Final = 512
FEATURE_ZERO_POINT: Final = -128
_LOG_FEATURE_SCALE: Final = 25.6
"""A model sees f / 25.6: the TFLM and ESPHome convention."""

_WEIGHT_BITS: Final = 12
_TWIDDLE_COUNT: Final = 384
_LOG_SEGMENTS: Final = 128
_SMOOTHING: Final = (0.025, 0.06)
_SMOOTHING_BITS: Final = 14
_MIN_SIGNAL_REMAINING: Final = 0.05
_PCAN_STRENGTH: Final = 0.95
_PCAN_OFFSET: Final = 80.0
_PCAN_GAIN_BITS: Final = 21
_PCAN_SNR_BITS: Final = 12
_ESTIMATE_BITS: Final = 10
_CORRECTION_BITS: Final = 3
"""How far the published scale lies above |FFT| / 512 in Q6; see log_scale.c."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendConfig:
    """What turns 16 kHz PCM into int8 features (frames, mel_bins).

    Attributes:
        window_ms: Hann window length, 10..32 ms.
        hop_ms: time between frames, 5..window_ms.
        mel_bins: mel bins a frame, 8..64.
        lower_hz: lower edge of the first mel bin, 20..1000 Hz.
        upper_hz: upper edge of the last mel bin, 2000..7900 Hz.
        noise_reduction: subtract a slow estimate of the noise in each bin.
        pcan: per-channel automatic gain control against that estimate.
        feature_divisor: D in q = clamp((256 f + D // 2) // D - 128), 100..4000; 666 is the TFLM and ESPHome convention with PCAN.

    Raises:
        FrontendError: a value out of range.
    """

    window_ms: int = 30
    hop_ms: int = 10
    mel_bins: int = 40
    lower_hz: float = 125.0
    upper_hz: float = 7500.0
    noise_reduction: bool = False
    pcan: bool = False
    feature_divisor: int = 1000

    def __post_init__(self) -> None:
        _check_range("window_ms", self.window_ms, 10, 32)
        _check_range("hop_ms", self.hop_ms, 5, self.window_ms)
        _check_range("mel_bins", self.mel_bins, 8, 64)
        _check_range("lower_hz", self.lower_hz, 20, 1000)
        _check_range("upper_hz", self.upper_hz, 2000, 7900)
        _check_range("feature_divisor", self.feature_divisor, 100, 4000)

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return self.window_ms * SAMPLE_RATE_HZ // 1000

    @property
    def hop_samples(self) -> int:
        """Samples between frames."""
        return self.hop_ms * SAMPLE_RATE_HZ // 1000

    @property
    def has_memory(self) -> bool:
        """Whether a frame depends on audio before its window."""
        return self.noise_reduction or self.pcan

    @property
    def input_scale(self) -> float:
        """Quantisation scale a model's input must have; the zero point is `FEATURE_ZERO_POINT`."""
        return self.feature_divisor / (256 * _LOG_FEATURE_SCALE)

    def frame_end(self, frame: int) -> int:
        """Sample position one past the window of a frame; frame 0 is the first after reset."""
        return frame * self.hop_samples + self.window_samples

    def frames_in(self, samples: int) -> int:
        """Whole frames in that many samples after reset."""
        return 0 if samples < self.window_samples else (samples - self.window_samples) // self.hop_samples + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FrontendConfig":
        """Inverse of `to_dict`; missing keys take their defaults.

        Raises:
            FrontendError: an unknown key, a value of the wrong type or out of range.
        """
        known: dict[str, type[Any]] = {f.name: type(f.default) for f in fields(cls)}
        checked: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise FrontendError(f"front end: unknown key {key!r}: expected one of {', '.join(known)}")
            kind = known[key]
            if isinstance(value, bool) != (kind is bool) or not isinstance(value, (int, float) if kind is float else kind):
                raise FrontendError(f"front end: {key}: expected {kind.__name__}, found {value!r}")
            checked[key] = kind(value)
        return cls(**checked)

    def digest(self) -> str:
        """SHA-256 (hex) of the settings: equal digests mean equal features."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise FrontendError(f"front end: {name}: expected {low}..{high}, found {value}")


@dataclass(frozen=True, slots=True)
class SpectrumTables:
    """Const tables of the window and the FFT: window (window_samples,) int16 Q12, twiddle (384, 2) int16 Q15."""

    window: NDArray[np.int16]
    twiddle: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class BankTables:
    """Const tables after the FFT.

    band_widths (mel_bins + 1,) uint16, band_weights (bins,) uint16 Q12, log_table (129,) uint16 Q16, gain_table (126,) int16.
    """

    first_bin: int
    band_widths: NDArray[np.uint16]
    band_weights: NDArray[np.uint16]
    log_table: NDArray[np.uint16]
    gain_table: NDArray[np.int16]


def spectrum_tables(config: FrontendConfig) -> SpectrumTables:
    """Computes window and twiddle tables."""
    # Single precision, as in the published code: one weight in 480 rounds differently in double.
    n = config.window_samples
    half = np.float32(0.5)
    phase = np.float32(2 * np.pi) / np.float32(n) * (np.arange(n, dtype=np.float32) + half)
    window = np.floor((half - half * np.cos(phase)) * np.float32(1 << _WEIGHT_BITS) + half)
    angle = 2 * np.pi * np.arange(_TWIDDLE_COUNT) / FFT_SAMPLES
    twiddle = np.floor(np.stack([np.cos(angle), -np.sin(angle)], axis=1) * 32767 + 0.5)
    return SpectrumTables(window.astype(np.int16), twiddle.astype(np.int16))


def _hz_to_mel(hz: NDArray[np.float32] | float) -> NDArray[np.float32]:
    return np.float32(1127) * np.log1p(np.asarray(hz, np.float32) / np.float32(700))


def bank_tables(config: FrontendConfig) -> BankTables:
    """Computes mel weights, log and PCAN gain tables."""
    # Single precision, as in the published code.
    low, high = _hz_to_mel(config.lower_hz), _hz_to_mel(config.upper_hz)
    spacing = (high - low) / np.float32(config.mel_bins + 1)
    edges = low + spacing * np.arange(config.mel_bins + 2, dtype=np.float32)
    hz_per_bin = SAMPLE_RATE_HZ / FFT_SAMPLES
    first_bin = int(1.5 + config.lower_hz / hz_per_bin)
    mel = _hz_to_mel(np.arange(FFT_SAMPLES // 2, dtype=np.float32) * np.float32(hz_per_bin))
    last_bin = int(np.count_nonzero(mel <= edges[-1]))
    bins = np.arange(first_bin, last_bin)
    band = np.searchsorted(edges[1:], mel[bins], side="left")
    weights = (edges[band + 1] - mel[bins]) / (edges[band + 1] - edges[band])
    return BankTables(
        first_bin=first_bin,
        band_widths=np.bincount(band, minlength=config.mel_bins + 1).astype(np.uint16),
        band_weights=np.floor(weights * np.float32(1 << _WEIGHT_BITS) + np.float32(0.5)).astype(np.uint16),
        log_table=_log_table(),
        gain_table=_gain_table(),
    )


def _log_table() -> NDArray[np.uint16]:
    x = np.arange(_LOG_SEGMENTS + 1) / _LOG_SEGMENTS
    return np.rint((np.log2(1 + x) - x) * 65536).astype(np.uint16)


def _gain_table() -> NDArray[np.int16]:
    """PCAN gain (estimate + offset)^-strength over octaves of the noise estimate, as parabolas."""
    input_bits = _ESTIMATE_BITS - _CORRECTION_BITS

    def gain(estimate: int) -> int:
        return min(32767, int((1 << _PCAN_GAIN_BITS) * (estimate / (1 << input_bits) + _PCAN_OFFSET) ** -_PCAN_STRENGTH + 0.5))

    table = np.zeros(126, np.int16)
    table[0], table[1] = gain(0), gain(1)
    for octave in range(2, 33):
        x0 = 1 << (octave - 1)
        x1 = x0 + (x0 >> 1)
        x2 = x0 + (x0 - 1) if octave == 32 else 2 * x0
        y0, y1, y2 = gain(x0), gain(x1), gain(x2)
        slope = 4 * (y1 - y0) - (y2 - y0)
        table[4 * octave - 6 : 4 * octave - 3] = y0, slope, (y2 - y0) - slope
    return table


class _SpectrumConfigC(ctypes.Structure):
    _fields_ = (
        ("window_samples", ctypes.c_uint16),
        ("hop_samples", ctypes.c_uint16),
        ("window", ctypes.c_void_p),
        ("twiddle", ctypes.c_void_p),
    )


class _BankConfigC(ctypes.Structure):
    _fields_ = (
        ("mel_bins", ctypes.c_uint8),
        ("noise_reduction", ctypes.c_uint8),
        ("pcan", ctypes.c_uint8),
        ("snr_shift", ctypes.c_uint8),
        ("first_bin", ctypes.c_uint16),
        ("smoothing", ctypes.c_uint16 * 2),
        ("min_signal_remaining", ctypes.c_uint16),
        ("feature_divisor", ctypes.c_uint16),
        ("band_widths", ctypes.c_void_p),
        ("band_weights", ctypes.c_void_p),
        ("log_table", ctypes.c_void_p),
        ("gain_table", ctypes.c_void_p),
    )


class _SpectrumC(ctypes.Structure):
    _fields_ = (
        ("config", ctypes.POINTER(_SpectrumConfigC)),
        ("bins", ctypes.c_int16 * FFT_SAMPLES),
        ("history", ctypes.c_int16 * FFT_SAMPLES),
        ("filled", ctypes.c_uint16),
    )


class _BankC(ctypes.Structure):
    _fields_ = (("config", ctypes.POINTER(_BankConfigC)), ("noise_estimate", ctypes.c_uint32 * 64))


class _FramesC(ctypes.Structure):
    _fields_ = (("mel", ctypes.c_void_p), ("log_mel", ctypes.c_void_p), ("features", ctypes.c_void_p))


def bank_settings(config: FrontendConfig, tables: BankTables) -> dict[str, int | tuple[int, int]]:
    """The scalar members of the C struct `ekws_bank_config_t`, by name."""
    q = 1 << _SMOOTHING_BITS
    return {
        "mel_bins": config.mel_bins,
        "noise_reduction": int(config.noise_reduction),
        "pcan": int(config.pcan),
        "snr_shift": _PCAN_GAIN_BITS - _CORRECTION_BITS - _PCAN_SNR_BITS,
        "first_bin": tables.first_bin,
        "smoothing": (int(_SMOOTHING[0] * q), int(_SMOOTHING[1] * q)),
        "min_signal_remaining": int(_MIN_SIGNAL_REMAINING * q),
        "feature_divisor": config.feature_divisor,
    }


def _bank_config_c(config: FrontendConfig, tables: BankTables) -> _BankConfigC:
    return _BankConfigC(
        *bank_settings(config, tables).values(),
        tables.band_widths.ctypes.data,
        tables.band_weights.ctypes.data,
        tables.log_table.ctypes.data,
        tables.gain_table.ctypes.data,
    )


class Frontend:
    """PCM to features, streaming: one FFT, one filter bank for each configuration.

    Args:
        configs: at least one; all with the same window_ms and hop_ms.

    Raises:
        FrontendError: no configuration, or windows or hops that differ.
    """

    def __init__(self, *configs: FrontendConfig) -> None:
        if not configs or len({(c.window_ms, c.hop_ms) for c in configs}) != 1:
            found = ", ".join(f"{c.window_ms}/{c.hop_ms} ms" for c in configs) or "none"
            raise FrontendError(f"front end: expected configurations of one window and hop, found {found}")
        self.configs = configs
        self._library = library()
        self._count = self._library.ekws_frontend_frames
        self._count.argtypes, self._count.restype = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_size_t
        self._run = self._library.ekws_frontend_process
        self._run.argtypes = (*[ctypes.c_void_p] * 2, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
        # The C side keeps pointers into these.
        self._spectrum_tables = spectrum_tables(configs[0])
        self._bank_tables = [bank_tables(c) for c in configs]
        self._spectrum_config = _SpectrumConfigC(
            configs[0].window_samples,
            configs[0].hop_samples,
            self._spectrum_tables.window.ctypes.data,
            self._spectrum_tables.twiddle.ctypes.data,
        )
        self._bank_configs = [_bank_config_c(c, t) for c, t in zip(configs, self._bank_tables, strict=True)]
        self._spectrum = _SpectrumC()
        self._spectrum_pointer = ctypes.byref(self._spectrum)
        self._frames_type = _FramesC * len(configs)
        self._banks = (_BankC * len(configs))()
        if self._library.ekws_spectrum_init(self._spectrum_pointer, ctypes.byref(self._spectrum_config)) != 0:
            raise FrontendError(f"front end: the C library refused window and hop of {configs[0]}")
        for bank, config_c, config in zip(self._banks, self._bank_configs, configs, strict=True):
            if self._library.ekws_bank_init(ctypes.byref(bank), ctypes.byref(config_c)) != 0:
                raise FrontendError(f"front end: the C library refused the filter bank of {config}")

    def reset(self) -> None:
        """Forgets all audio."""
        self._library.ekws_spectrum_reset(self._spectrum_pointer)
        for bank in self._banks:
            self._library.ekws_bank_reset(ctypes.byref(bank))

    def process(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.int8], ...]:
        """Consumes PCM of any length; returns the completed frames, (frames, mel_bins) int8 for each configuration."""
        return self._process(pcm, "features", np.int8)

    def process_log(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.uint16], ...]:
        """Like `process`, but the log features f = 64 ln(8 amplitude) before quantisation, uint16."""
        return self._process(pcm, "log_mel", np.uint16)

    def process_mel(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.uint32], ...]:
        """Like `process`, but the mel amplitudes before noise reduction, uint32, Q6 of |FFT| / 512."""
        return self._process(pcm, "mel", np.uint32)

    def _process(self, pcm: NDArray[np.int16], member: str, dtype: type[_Scalar]) -> tuple[NDArray[_Scalar], ...]:
        pcm = _checked(pcm, np.int16, 1)
        count = self._count(self._spectrum_pointer, len(pcm))
        outputs = tuple([np.empty((count, c.mel_bins), dtype) for c in self.configs])
        frames = self._frames_type()
        for frame, out in zip(frames, outputs, strict=True):
            setattr(frame, member, address(out))
        self._run(self._spectrum_pointer, self._banks, len(outputs), address(pcm), len(pcm), frames, count)
        return outputs


class FeatureBank:
    """What follows the mel filter bank, alone: mel amplitudes to int8 features. For training, which mixes noise at that point."""

    def __init__(self, config: FrontendConfig) -> None:
        self.config = config
        self._library = library()
        self._tables = bank_tables(config)
        self._config = _bank_config_c(config, self._tables)
        self._bank = _BankC()
        if self._library.ekws_bank_init(ctypes.byref(self._bank), ctypes.byref(self._config)) != 0:
            raise FrontendError(f"front end: the C library refused the filter bank of {config}")

    def process(self, mel: NDArray[np.uint32]) -> NDArray[np.int8]:
        """Amplitudes (frames, mel_bins) uint32, Q6 of |FFT| / 512 -> features int8 of the same shape, from reset."""
        mel = _checked(mel, np.uint32, 2)
        if mel.shape[1] != self.config.mel_bins:
            raise FrontendError(f"front end: expected {self.config.mel_bins} mel bins, found shape {mel.shape}")
        out = np.empty(mel.shape, np.int8)
        self._library.ekws_bank_reset(ctypes.byref(self._bank))
        frames = _FramesC(features=out.ctypes.data)
        self._library.ekws_bank_process(
            ctypes.byref(self._bank), ctypes.c_void_p(mel.ctypes.data), ctypes.c_size_t(len(mel)), ctypes.byref(frames)
        )
        return out


def _checked(array: NDArray[_Scalar], dtype: type[_Scalar], dimensions: int) -> NDArray[_Scalar]:
    if array.dtype != dtype or array.ndim != dimensions:
        raise FrontendError(f"front end: expected {dimensions}-D {dtype.__name__}, found {array.ndim}-D {array.dtype}")
    return np.ascontiguousarray(array)
