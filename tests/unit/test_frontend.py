"""The C front end through its binding."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_kws.errors import FrontendError
from edge_kws.frontend import FeatureBank, Frontend, FrontendConfig, spectrum_tables

PLAIN = FrontendConfig()
FULL = FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)


def _speechlike(samples: int, seed: int = 0) -> NDArray[np.int16]:
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    voiced = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 25)) * (1 + np.sin(2 * np.pi * 3 * time))
    return np.clip(2500 * voiced + random.normal(0, 60, samples), -32768, 32767).astype(np.int16)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 8000), max_size=12), full=st.booleans())
def test_any_chunking_gives_the_same_bytes(cuts: list[int], full: bool) -> None:
    pcm = _speechlike(8000)
    config = FULL if full else PLAIN
    (whole,) = Frontend(config).process(pcm)
    frontend, edges = Frontend(config), [0, *sorted(cuts), 8000]
    parts = [frontend.process(pcm[a:b])[0] for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(whole) == config.frames_in(8000)


def test_reset_forgets() -> None:
    frontend = Frontend(FULL)
    first = frontend.process(_speechlike(5000))[0]
    frontend.process(_speechlike(700, 1))
    frontend.reset()
    np.testing.assert_array_equal(frontend.process(_speechlike(5000))[0], first)


def test_banks_that_share_an_fft_are_each_as_alone() -> None:
    configs = (PLAIN, FULL, FrontendConfig(mel_bins=24, lower_hz=60, upper_hz=4000))
    pcm = _speechlike(16_000)
    for config, shared in zip(configs, Frontend(*configs).process(pcm), strict=True):
        np.testing.assert_array_equal(shared, Frontend(config).process(pcm)[0])


@pytest.mark.parametrize("config", [PLAIN, FULL])
def test_features_follow_from_mel_amplitudes_alone(config: FrontendConfig) -> None:
    pcm = _speechlike(16_000)
    (mel,) = Frontend(config).process_mel(pcm)
    np.testing.assert_array_equal(FeatureBank(config).process(mel), Frontend(config).process(pcm)[0])


def test_a_float_log_mel_agrees() -> None:
    """Second witness: NumPy's FFT in double precision. 16-bit arithmetic is exact where there is sound, coarse 60 dB below."""
    pcm = np.clip(np.random.default_rng(1).normal(0, 3000, 32_000), -32768, 32767).astype(np.int16)
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(float), 480)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(480) + 0.5) / 480)
    energy = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    low, high = (1127 * np.log1p(hz / 700) for hz in (125, 7500))
    edges = low + (high - low) * np.arange(42) / 41
    mel = 1127 * np.log1p(np.arange(257) * 31.25 / 700)[:, np.newaxis]
    rising, falling = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    expected = 64 * np.log(np.maximum(np.sqrt(energy @ np.maximum(0, np.minimum(rising, falling))), 1))
    error = np.abs(Frontend(PLAIN).process_log(pcm)[0] - expected)
    assert np.percentile(error, 99) < 8  # f has 64 steps a neper: 8 is 1.1 dB
    assert error.mean() < 1.5


def test_silence_and_clipping_stay_in_range() -> None:
    assert (Frontend(PLAIN).process(np.zeros(8000, np.int16))[0] == -128).all()
    square = np.where(np.arange(16_000) // 20 % 2 == 0, 32767, -32768).astype(np.int16)
    assert (Frontend(PLAIN).process(square)[0] == 127).mean() < 0.01
    assert Frontend(PLAIN).process(np.full(8000, -32768, np.int16))[0].max() < 127


@pytest.mark.parametrize(
    "values",
    [
        {"window_ms": 40},
        {"hop_ms": 0},
        {"mel_bins": 65},
        {"upper_hz": 8000.0},
        {"feature_divisor": 0},
        {"colour": 1},
        {"pcan": 1},
        {"mel_bins": 40.5},
    ],
)
def test_bad_configurations_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(FrontendError, match=next(iter(values))):
        FrontendConfig.from_dict(values)


def test_configurations_round_trip() -> None:
    assert FrontendConfig.from_dict(FULL.to_dict()) == FULL
    assert FULL.digest() != PLAIN.digest()
    assert PLAIN.frame_end(0) == 480
    assert PLAIN.frames_in(16_000) == 98


def test_wrong_input_is_refused() -> None:
    with pytest.raises(FrontendError, match="int16"):
        Frontend(PLAIN).process(np.zeros(100, np.float32))  # pyright: ignore[reportArgumentType]
    with pytest.raises(FrontendError, match="window and hop"):
        Frontend(PLAIN, FrontendConfig(hop_ms=20))


def test_the_c_library_refuses_what_it_cannot_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twiddle without a negative in 16 bits, a window weight above one."""
    for name, value in (("twiddle", -32768), ("window", 4097), ("window", -1)):
        tables = spectrum_tables(PLAIN)
        getattr(tables, name).flat[-1] = value
        with monkeypatch.context() as patch:
            patch.setattr("edge_kws.frontend.spectrum_tables", lambda _, tables=tables: tables)
            with pytest.raises(FrontendError, match="refused window and hop"):
                Frontend(PLAIN)
