"""Our front end against the TensorFlow microfrontend, in the build of PyPI pymicro-features: equal, bit for bit."""

# soundfile says any dtype where it is told int16.
# pyright: reportArgumentType=false

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.frontend import Frontend, FrontendConfig

pymicro_features = pytest.importorskip("pymicro_features")

CONFIG = FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)


def theirs(pcm: NDArray[np.int16]) -> NDArray[np.int64]:
    """Log features f (frames, 40); the library returns f / 25.6."""
    frontend, data, rows, position = pymicro_features.MicroFrontend(), pcm.tobytes(), [], 0
    while position + 320 <= len(data):
        output = frontend.process_samples(data[position : position + 320])
        position += output.samples_read * 2
        if output.features:
            rows.append(output.features)
    return np.rint(np.array(rows) * 25.6).astype(np.int64)


def _int8(f: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip((f * 256 + 333) // 666 - 128, -128, 127)


def assert_equal(pcm: NDArray[np.int16]) -> None:
    ours = Frontend(CONFIG).process_log(pcm)[0].astype(np.int64)
    other = theirs(pcm)
    count = min(len(ours), len(other))
    assert count >= len(pcm) // 160 - 4
    assert (np.abs(_int8(ours[:count]) - _int8(other[:count])) <= 1).mean() >= 0.98
    np.testing.assert_array_equal(ours[:count], other[:count])


TIME = np.arange(48_000) / 16_000
SIGNALS = {
    "tone": 10_000 * np.sin(2 * np.pi * 1000 * TIME),
    "soft tone": 40 * np.sin(2 * np.pi * 440 * TIME),
    "chirp": 20_000 * np.sin(2 * np.pi * (100 + 1200 * TIME) * TIME),
    "silence": np.zeros(48_000),
    "noise": np.random.default_rng(0).normal(0, 3000, 48_000),
    "clipped square": np.where(np.sin(2 * np.pi * 300 * TIME) > 0, 32767, -32767),
    "clipped noise": np.where(np.random.default_rng(1).normal(size=48_000) > 0, 32767, -32767),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_synthetic_signals(name: str) -> None:
    assert_equal(np.clip(SIGNALS[name], -32768, 32767).astype(np.int16))


def test_synthetic_speech() -> None:
    pcm, _ = soundfile.read(Path(__file__).resolve().parents[2] / "examples" / "demo.flac", dtype="int16")
    assert_equal(pcm)


def test_real_speech(shared_data: Path) -> None:
    files = [
        path
        for folder in ("speech_commands/marvin", "librispeech_train_clean_251")
        for path in sorted((shared_data / folder).glob("*.wav"))[:25]
    ]
    assert files
    assert_equal(np.concatenate([soundfile.read(path, dtype="int16")[0] for path in files]))
