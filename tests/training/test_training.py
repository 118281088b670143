"""The whole build flow on a data set of tones, with TensorFlow: minutes, so marked slow."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_kws.pack import Pack

pytestmark = pytest.mark.slow

RECIPE = """
name = "tones"
version = "1.0.0"
description = "Rising against falling tones"
task = "keywords"
keywords = ["rise", "fall"]
inference_stride_hops = 4
[student]
family = "{family}"
{student}
[training]
epochs = 4
clips_per_epoch = 1920
batch = 64
keyword_share = 0.6
unknown_share = 0.2
average_decay = 0.97
[augmentation]
snr_db = [10, 30]
[decoder]
threshold = 0.7
"""
EVALUATION_ONLY = """
[[data.negatives]]
path = "speech_commands/_background_noise_"
source = "hiss"
license = "CC0-1.0"
evaluation_only = true
"""
HYBRID = "front_channels = [8, 8, 8]\nchannels = 16\nkernels = [5, 7]\n"


def _tone(kind: str, random: np.random.Generator) -> np.ndarray:
    time = np.arange(16_000) / 16_000
    low, high = random.uniform(300, 500), random.uniform(1500, 2500)
    path = {"rise": low + (high - low) * time, "fall": high - (high - low) * time, "flat": np.full_like(time, (low + high) / 2)}[kind]
    return (6000 * np.sin(2 * np.pi * np.cumsum(path) / 16_000) * np.hanning(16_000)).astype(np.int16)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the official Speech Commands shape."""
    import soundfile

    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(5)
    for kind in ("rise", "fall", "flat"):
        (root / "speech_commands" / kind).mkdir(parents=True)
        for number in range(60):
            speaker = hashlib.sha1(f"{number}".encode()).hexdigest()[:8]
            soundfile.write(root / "speech_commands" / kind / f"{speaker}_nohash_0.wav", _tone(kind, random), 16_000)
    (root / "speech_commands" / "_background_noise_").mkdir()
    noise = random.normal(0, 200, 160_000).astype(np.int16)
    soundfile.write(root / "speech_commands" / "_background_noise_" / "hiss.wav", noise, 16_000)
    return root


def _train(tmp: Path, data: Path, text: str) -> subprocess.CompletedProcess[str]:
    recipe = tmp / "tones.toml"
    recipe.write_text(text)
    command = [sys.executable, "-m", "edge_kws.cli.main", "train", str(recipe), "--data", str(data), "--out", str(tmp / "out")]
    environment = {"XDG_CACHE_HOME": str(tmp / "cache"), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(tmp)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(("family", "student"), [("hybrid", HYBRID), ("ds_cnn", "channels = 16\nblocks = 2\n")])
def test_a_recipe_becomes_a_pack_that_hears(tmp_path: Path, tones: Path, family: str, student: str) -> None:
    text = RECIPE.format(family=family, student=student)
    if family == "hybrid":
        text = text.replace("threshold = 0.7\n", "") + EVALUATION_ONLY
    done = _train(tmp_path, tones, text)
    assert done.returncode == 0, done.stderr[-2000:]
    pack = Pack.load(tmp_path / "out" / "tones.tflite")
    pack.verify(deep=True)
    assert pack.labels == ("_silence_", "_unknown_", "rise", "fall")
    assert pack.info.recipe == text
    if family == "hybrid":
        assert "keywords heard" in done.stdout, "the threshold comes from validation recordings"
        assert 0.3 <= (pack.decoder.thresholds[2] or 0) <= 0.95
        assert [(row.name, row.use) for row in pack.info.ledger if row.use != "train"] == [("_background_noise_", "evaluation")]
    top1 = next(row.value for row in pack.info.quality if row.name == "top1")
    assert top1 > 0.6, done.stdout

    again = _train(tmp_path, tones, text)
    assert again.returncode == 0
    assert "epoch" not in again.stdout, "a finished training is not repeated"


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, tones: Path) -> None:
    first = RECIPE.format(family="hybrid", student=HYBRID).replace("epochs = 4", "epochs = 1").replace("1920", "256")
    assert _train(tmp_path, tones, first).returncode == 0
    other = _train(tmp_path, tones, first.replace("1.0.0", "1.0.1"))
    assert other.returncode == 2
    assert "another recipe" in other.stderr
    assert "Traceback" not in other.stderr


def test_a_killed_training_goes_on_where_it_was(tmp_path: Path, tones: Path) -> None:
    text = RECIPE.format(family="hybrid", student=HYBRID)
    (tmp_path / "tones.toml").write_text(text)
    command = [sys.executable, "-u", "-m", "edge_kws.cli.main", "train", str(tmp_path / "tones.toml"), "--data", str(tones)]
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(tmp_path)}
    command += ["--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 1/") for line in process.stdout)
        process.kill()
    assert not (tmp_path / "out" / "tones.tflite").exists()
    again = _train(tmp_path, tones, text)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "epoch 1/" not in again.stdout
    assert "epoch 4/" in again.stdout
    pack = Pack.load(tmp_path / "out" / "tones.tflite")
    pack.verify(deep=True)
    assert [(span.commit, span.epochs) for span in pack.info.provenance.training] == [(pack.info.provenance.commit, 4)]


def test_fused_batch_normalisation_is_that_of_keras() -> None:
    import keras

    from edge_kws.training.students.layers import FusedBatchNormalization

    x = np.random.default_rng(0).normal(3, 2, (8, 5, 4, 6)).astype(np.float32)
    fused, plain = FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for _ in range(2):
        np.testing.assert_allclose(fused(x, training=True), plain(x, training=True), atol=2e-5)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=0.01)  # divided by n - 1, not n
