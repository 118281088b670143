"""Augmentation of mel amplitudes."""

import numpy as np
import pytest

from edge_kws.data.augmentation import AugmentationConfig, MelAxis, decibels, mask, mixed, power, quiet_room, shifted, synthetic_noise
from edge_kws.frontend import Frontend, FrontendConfig


def test_noise_is_mixed_at_the_ratio_asked_for() -> None:
    random = np.random.default_rng(1)
    signal = random.uniform(10, 1000, (4, 98, 40)).astype(np.float32)
    noise = synthetic_noise(4, 98, 40, random)
    snr_db = np.array([-5.0, 0.0, 10.0, 30.0])
    added = np.square(mixed(signal, noise, snr_db)) - np.square(signal)
    ratio = np.square(signal).sum(axis=(1, 2)) / added.sum(axis=(1, 2))
    np.testing.assert_allclose(10 * np.log10(ratio), snr_db, atol=0.05)


def test_powers_add_as_those_of_mixed_pcm_do() -> None:
    random = np.random.default_rng(2)
    first, second = (random.normal(0, level, 160_000).astype(np.int16) for level in (900, 500))
    mel = [Frontend(FrontendConfig()).process_mel(pcm)[0].astype(np.float32)[np.newaxis] for pcm in (first, second, first + second)]
    assert float(power(mel[2])[0, 0, 0]) == pytest.approx(float(power(mel[0])[0, 0, 0] + power(mel[1])[0, 0, 0]), rel=0.02)


def test_no_shift_and_no_warp_change_nothing() -> None:
    random = np.random.default_rng(3)
    clips = random.uniform(0, 100, (3, 98, 40)).astype(np.float32)
    np.testing.assert_allclose(shifted(clips, 98, np.zeros(len(clips)), 0, random)[0], clips, rtol=1e-4)
    axis = MelAxis.build(125, 7500, 40, pitch=0.0, steps=1)
    np.testing.assert_allclose(axis.apply(clips, random), clips, rtol=1e-4)


def test_frames_beyond_a_clip_are_told_apart() -> None:
    random = np.random.default_rng(5)
    clips = random.uniform(0, 100, (200, 98, 40)).astype(np.float32)
    shift = np.array([0.0] * 100 + [60.0] * 100)
    cuts, beyond = shifted(clips, 98, shift, 0, random)
    assert cuts.shape == clips.shape
    assert not beyond[:100].any()
    counts = beyond[100:].sum(axis=1)
    assert counts.max() <= 60
    assert counts.mean() == pytest.approx(30, abs=6)
    # What lies beyond is one stretch at one end.
    assert (np.abs(np.diff(beyond[100:].astype(int), axis=1)).sum(axis=1) <= 1).all()


def test_a_quiet_room_is_as_loud_as_it_says() -> None:
    random = np.random.default_rng(6)
    loud, soft = (
        Frontend(FrontendConfig()).process_mel((random.normal(0, 32768 * decibels(level), 160_000)).astype(np.int16))[0].mean()
        for level in (-45.0, -60.0)
    )
    room = quiet_room(400, 98, 40, random).mean(axis=(1, 2))
    assert room.max() < 1.3 * loud
    assert 0.5 * soft < np.median(room) < 1.5 * soft


def test_pitch_moves_energy_along_the_mel_axis() -> None:
    axis = MelAxis.build(125, 7500, 40, pitch=0.2, steps=2)
    tone = np.zeros((1, 1, 40), np.float32)
    tone[0, 0, 20] = 1
    lowered, raised = (int(np.argmax(tone @ warp)) for warp in axis.warps[::-1])
    assert lowered < 20 < raised


def test_masks_are_no_wider_than_asked() -> None:
    features = np.zeros((50, 98, 40), np.int8)
    config = AugmentationConfig(time_mask_frames=8, frequency_mask_bins=4, mask_probability=1.0)
    mask(features, config, np.random.default_rng(4))
    assert ((features == -128).all(axis=2).sum(axis=1) <= 8).all()
    assert ((features == -128).all(axis=1).sum(axis=1) <= 4).all()
    assert (features == -128).any(axis=(1, 2)).all()


def test_decibels() -> None:
    np.testing.assert_allclose(decibels(np.array([-20.0, 0.0, 6.0])), [0.1, 1.0, 1.9953], rtol=1e-4)
