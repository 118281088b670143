"""Keyword evaluation: windows that are exactly the pack's, and counts that equal a plain loop over the runner."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.errors import AudioError, ConfigError, ModelError
from edge_kws.evaluation.clips import ClipReader, evaluate_clips, fit
from edge_kws.evaluation.streams import quiet_noise, window_samples
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Golden, Pack
from edge_kws.runners.litert import LiteRtRunner
from tests.golden.tiny_model import LABELS, features, tiny_model, tiny_pack

FRAMES, BINS = 14, 12  # random weights of this size name all four classes
WINDOW_SAMPLES = 13 * 160 + 480


def sound(seed: int, samples: int = WINDOW_SAMPLES) -> NDArray[np.int16]:
    """A tone of any level and pitch that begins somewhere in a noise of any level: the model hears different classes in them."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / 16000
    tone = 10 ** rng.uniform(0, 4) * np.sin(2 * np.pi * rng.uniform(100, 7000) * time_s) * (time_s > rng.uniform(-0.1, 0.15))
    return np.rint(tone + rng.normal(0, 10 ** rng.uniform(-1, 1.5), samples)).clip(-32768, 32767).astype(np.int16)


def four_class_pack(config: FrontendConfig) -> Pack:
    model = tiny_model(frames=FRAMES, bins=BINS, input_scale=config.input_scale)
    return tiny_pack(model, frontend=config, golden=Golden.record(model, features(3, FRAMES, BINS)))


@pytest.fixture(scope="module")
def pack() -> Pack:
    return four_class_pack(FrontendConfig(mel_bins=BINS))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    root = tmp_path_factory.mktemp("clips")
    found: list[tuple[Path, str]] = []
    for index in range(40):
        label = LABELS[index % 3]  # `no` has no clips
        path = root / label / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, sound(index), 16000)
        found.append((path, label))
    return found


def test_one_second_gives_exactly_98_frames() -> None:
    config = FrontendConfig()
    assert window_samples(config, 98) == 16000
    (features,) = Frontend(config).process(np.zeros(16000, np.int16))
    assert len(features) == 98


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(30, 10), (30, 20), (32, 16), (25, 10)])
def test_the_window_gives_exactly_its_frames(window_ms: int, hop_ms: int) -> None:
    config = FrontendConfig(window_ms=window_ms, hop_ms=hop_ms)
    samples = window_samples(config, 40)
    assert config.frames_in(samples) == 40
    assert config.frames_in(samples - 1) == 39


def test_short_clips_get_zeros_at_the_end_and_long_ones_give_their_middle() -> None:
    assert fit(np.array([5, 6], np.int16), 4).tolist() == [5, 6, 0, 0]
    assert fit(np.arange(7, dtype=np.int16), 4).tolist() == [1, 2, 3, 4]
    assert fit(np.arange(4, dtype=np.int16), 4).tolist() == [0, 1, 2, 3]


def test_the_window_is_that_of_the_clip_alone(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    reader = ClipReader(pack)
    reader.window(clips[0][0])
    (expected,) = Frontend(pack.frontend).process(sound(1))
    assert np.array_equal(reader.window(clips[1][0]), expected)


def test_a_front_end_with_memory_hears_two_seconds_of_quiet_noise_first(clips: list[tuple[Path, str]]) -> None:
    config = FrontendConfig(mel_bins=BINS, pcan=True, noise_reduction=True, feature_divisor=666)
    pack = four_class_pack(config)
    context = quiet_noise(32000)
    (expected,) = Frontend(config).process(np.concatenate([context, sound(1)]))
    found = ClipReader(pack).window(clips[1][0])
    assert np.array_equal(found, expected[-FRAMES:])
    assert not np.array_equal(found, Frontend(config).process(sound(1))[0])


def test_quiet_noise_is_at_minus_60_dbfs_and_always_the_same() -> None:
    noise = quiet_noise(160_000)
    level = 10 * np.log10(np.mean(np.square(noise.astype(np.float64))) / 32768**2)
    assert level == pytest.approx(-60, abs=0.1)
    assert np.array_equal(noise[:1000], quiet_noise(1000))


def test_formats_and_rates_are_read(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "yes" / "a.flac"
    path.parent.mkdir()
    soundfile.write(path, np.stack([sound(3, 9000)] * 2, axis=1), 44100)
    assert evaluate_clips(pack, [(path, "yes")]).count == 1


def test_counts_equal_a_plain_loop(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    result = evaluate_clips(pack, clips)
    runner = LiteRtRunner(pack.model, reference=True)
    expected = np.zeros((4, 4), np.int64)
    for index, (_, label) in enumerate(clips):
        (window,) = Frontend(pack.frontend).process(sound(index))
        expected[LABELS.index(label), int(np.argmax(runner.run(window)))] += 1
    assert np.array_equal(result.confusion, expected)
    assert np.count_nonzero(expected.sum(axis=0)) == 4, "the model should not say the same of everything"
    assert result.missing_labels == ("no",)
    assert len(result.mistakes) == result.count - result.correct
    assert [m.score for m in result.mistakes] == sorted((m.score for m in result.mistakes), reverse=True)


def test_json_keys_and_values(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    result = evaluate_clips(pack, clips)
    found = result.to_dict()
    assert found["schema_version"] == 1
    assert found["task"] == "keywords"
    assert found["pack"] == {"name": "tiny", "version": "1.2.3", "model_sha256": pack.info.model_sha256}
    assert found["top1"] == found["correct"] / found["count"] == np.trace(np.array(found["confusion"])) / 40
    assert found["top1_interval"][0] <= found["top1"] <= found["top1_interval"][1]
    recalls = [entry["recall"] for entry in found["per_class"]]
    assert recalls[3] is None
    assert found["per_class"][3]["interval"] is None
    assert found["macro_recall"] == pytest.approx(np.mean(recalls[:3]))
    confusion = np.array(found["confusion"])
    assert found["false_commands"] == confusion[:2, 2:].sum()
    assert found["false_command_clips"] == confusion[:2].sum()
    assert found["float_top1"] is None
    assert found["float_comparison"] is None


def test_float_against_int8_on_the_same_windows(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    scale = np.float32(pack.frontend.input_scale)
    runner = LiteRtRunner(pack.model, reference=True)
    seen: list[int] = []

    def same_model_but_every_fifth_wrong(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(windows))
        quantised = np.rint(windows / scale - 128).astype(np.int8)
        outputs = np.stack([runner.run(window) for window in quantised]).astype(np.float32)
        outputs[np.arange(0, 40, 5), outputs[::5].argmax(axis=1)] = -1000
        return outputs

    result = evaluate_clips(pack, clips, same_model_but_every_fifth_wrong)
    assert sum(seen) == 40
    assert result.floating is not None
    assert result.floating.agree == 32
    assert result.floating.correct + result.floating.int8_only == result.correct + result.floating.float_only
    found = result.to_dict()
    assert found["float_top1"] == result.floating.correct / 40
    assert found["float_comparison"]["int8_minus_float"] == pytest.approx(found["top1"] - found["float_top1"])


def test_a_float_model_that_loses_clips_is_refused(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    with pytest.raises(ModelError, match="expected 40 rows"):
        evaluate_clips(pack, clips, lambda windows: np.zeros((3, 4), np.float32))


def test_threads_and_order_change_nothing(pack: Pack, clips: list[tuple[Path, str]]) -> None:
    finished: list[int] = []
    together = evaluate_clips(pack, clips, workers=3, progress=finished.append)
    alone = evaluate_clips(pack, clips[::-1])
    assert sum(finished) == 40
    assert together.to_dict() == alone.to_dict()


def test_bad_clips_are_named(pack: Pack, clips: list[tuple[Path, str]], tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF not a sound")
    for workers in (1, 2):
        with pytest.raises(AudioError, match=r"broken\.wav"):
            evaluate_clips(pack, [*clips, (broken, "yes")], workers=workers)
    with pytest.raises(ConfigError, match="'maybe' is not a label of pack 'tiny'"):
        evaluate_clips(pack, [(clips[0][0], "maybe")])
    with pytest.raises(ConfigError, match="no clips"):
        evaluate_clips(pack, [])
