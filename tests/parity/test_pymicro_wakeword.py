"""The four models of PyPI pymicro-wakeword on our features, through LiteRT: the same detections as on their own features and runtime."""

# soundfile says any dtype where it is told int16.
# pyright: reportArgumentType=false

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edge_kws.frontend import Frontend, FrontendConfig

pymicro_wakeword = pytest.importorskip("pymicro_wakeword")

FOLDER = Path(pymicro_wakeword.__file__).parent / "models"
NAMES = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
CONFIG = FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)
LEAD_IN = np.random.default_rng(1).normal(0, 10, 32_000).astype(np.int16)  # noise estimate and model state settle


def ours(name: str, pcm: NDArray[np.int16]) -> list[float]:
    """Their averaging rule on the posteriors of LiteRT, fed with our int8 features a stride at a time."""
    settings = json.loads((FOLDER / f"{name}.json").read_text())["micro"]
    interpreter: Any = Interpreter(str(FOLDER / f"{name}.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    assert source["dtype"] == np.int8
    assert (scale, zero_point) == (pytest.approx(26 / 255), -128)  # their training's range; D = 666 is within 0.4 % of it
    stride = int(source["shape"][1])
    (features,) = Frontend(CONFIG).process(pcm)
    posteriors: list[float] = []
    for start in range(0, len(features) - stride + 1, stride):
        interpreter.set_tensor(source["index"], features[np.newaxis, start : start + stride])
        interpreter.invoke()
        output_scale, output_zero = result["quantization"]
        posteriors.append(float((int(interpreter.get_tensor(result["index"]).ravel()[0]) - output_zero) * output_scale))
    size = int(settings["sliding_window_size"])
    return [float(np.mean(posteriors[i - size : i])) for i in range(size, len(posteriors) + 1)]


def theirs(name: str, pcm: NDArray[np.int16]) -> list[float]:
    """Their features, runtime and averaging."""
    model = pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model(name))
    frontend = pymicro_wakeword.MicroWakeWordFeatures()
    scores: list[float] = []
    for features in frontend.process_streaming(pcm.tobytes()):
        score = model.process_streaming_prob(features)
        if score is not None:
            scores.append(float(score))
    stride, size = model.stride, model.sliding_window_size
    model.close()
    return scores[stride - 1 :: stride][size - 1 :]  # zeros stand where no posterior, or no full average, was due


def cutoff(name: str) -> float:
    return float(json.loads((FOLDER / f"{name}.json").read_text())["micro"]["probability_cutoff"])


@pytest.mark.parametrize("name", NAMES)
def test_scores_follow_theirs_on_speech_of_the_project(name: str) -> None:
    pcm, _ = soundfile.read(Path(__file__).resolve().parents[2] / "examples" / "demo.flac", dtype="int16")
    mine, other = ours(name, pcm), theirs(name, pcm)
    assert abs(len(mine) - len(other)) <= 2
    count = min(len(mine), len(other))
    # Features are equal; their runtime's kernels round otherwise than the reference ones.
    np.testing.assert_allclose(mine[:count], other[:count], atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_clips_are_detected(name: str, shared_data: Path) -> None:
    folder = shared_data / "picovoice_wake_words"
    files = [path for word in ("alexa", "jarvis") for path in sorted((folder / word).glob("*.wav"))[:30]]
    assert files
    fired: list[tuple[bool, bool]] = []
    for path in files:
        pcm = np.concatenate([LEAD_IN, soundfile.read(path, dtype="int16")[0], LEAD_IN[:16_000]])
        fired.append((max(ours(name, pcm)) > cutoff(name), max(theirs(name, pcm)) > cutoff(name)))
    assert [mine for mine, _ in fired] == [other for _, other in fired]
    if name == "alexa":
        assert sum(mine for mine, _ in fired[:30]) >= 25  # the check has something to find
