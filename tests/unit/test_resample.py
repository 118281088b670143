"""Resampling: positions, lengths and levels survive, however the audio is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.audio import Resampler
from edge_kws.audio.resample import resampled_length
from edge_kws.errors import AudioError

RATES = [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000]


def convert(pcm, rate, channels=1, chunk=None):
    resampler = Resampler(rate, channels)
    chunk = chunk or max(1, len(pcm))
    blocks = [resampler.process(pcm[start : start + chunk]) for start in range(0, len(pcm), chunk)]
    return np.concatenate([*blocks, resampler.flush()])


@pytest.mark.parametrize("rate", RATES)
def test_an_impulse_stays_where_it_was(rate):
    for at_s in (0.25, 0.5, 0.8):
        pcm = np.zeros(rate, np.float32)
        at = round(at_s * rate)
        pcm[max(0, at - rate // 8000) : at + rate // 8000 + 1] = 0.5  # wide enough to survive the low-pass of any rate
        out = convert(pcm, rate, chunk=441).astype(np.float64)
        centre = np.sum(np.arange(len(out)) * out**2) / np.sum(out**2)
        assert centre == pytest.approx(at * 16_000 / rate, abs=0.1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [0, 1, 2, 7, 100, 4001, 50_021])
def test_length_is_exact(rate, frames):
    out = convert(np.zeros(frames, np.int16), rate, chunk=997)
    assert len(out) == resampled_length(frames, rate) == round(frames * 16_000 / rate)


@given(rate=st.sampled_from([8000, 44_100, 48_000]), cuts=st.lists(st.integers(0, 6000), max_size=12), seed=st.integers(0, 2**32 - 1))
def test_cuts_do_not_matter(rate, cuts, seed):
    pcm = np.random.default_rng(seed).integers(-20_000, 20_000, (6000, 2)).astype(np.int16)
    resampler = Resampler(rate, 2)
    blocks = [resampler.process(part) for part in np.split(pcm, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*blocks, resampler.flush()]), convert(pcm, rate, 2))


@given(st.lists(st.integers(-32768, 32767), max_size=300))
def test_16_khz_mono_int16_passes_untouched(samples):
    pcm = np.array(samples, np.int16)
    np.testing.assert_array_equal(convert(pcm, 16_000, chunk=70), pcm)
    np.testing.assert_array_equal(convert(pcm.astype(np.float32) / 32768, 16_000, chunk=70), pcm)


def test_channels_are_averaged():
    pcm = np.array([[100, 300], [-32768, -32768], [32767, 32767], [1000, -1000]], np.int16)
    np.testing.assert_array_equal(convert(pcm, 16_000, 2), [200, -32768, 32767, 0])
    eight = np.tile(np.arange(8, dtype=np.int16) * 100, (50, 1))
    np.testing.assert_array_equal(convert(eight, 16_000, 8), np.full(50, 350))


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000])
def test_speech_band_keeps_its_level_and_nothing_aliases(rate):
    time_s = np.arange(rate) / rate
    kept = convert((0.5 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32), rate)[2000:-2000] / 32768
    assert np.sqrt(2 * np.mean(kept**2)) == pytest.approx(0.5, rel=1e-3)
    if rate > 16_000:
        gone = convert((0.5 * np.sin(2 * np.pi * 9500 * time_s)).astype(np.float32), rate)[2000:-2000]
        assert np.abs(gone).max() <= 1


def test_loud_float_is_clipped_not_wrapped():
    pcm = np.array([2.0, -2.0, 1.0, -1.0, 0.0], np.float32)
    np.testing.assert_array_equal(convert(pcm, 16_000), [32767, -32768, 32767, -32768, 0])


def test_flush_and_reset_start_afresh():
    pcm = np.random.default_rng(1).integers(-9000, 9000, 5000).astype(np.int16)
    resampler = Resampler(44_100)
    first = np.concatenate([resampler.process(pcm), resampler.flush()])
    resampler.process(pcm[:1234])
    resampler.reset()
    again = np.concatenate([resampler.process(pcm), resampler.flush()])
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(("rate", "channels"), [(7999, 1), (192_001, 1), (0, 1), (16_000, 0)])
def test_impossible_formats(rate, channels):
    with pytest.raises(AudioError, match="expected"):
        Resampler(rate, channels)


def test_wrong_channel_count_of_a_block():
    with pytest.raises(AudioError, match="has 3 channels: expected 2"):
        Resampler(48_000, 2).process(np.zeros((4, 3), np.int16))
