"""`edge-kws export --to esphome`: what pymicro-wakeword (its features, its runtime), TFLM and ESPHome's own check make of the files."""

# soundfile says any dtype where it is told int16.
# pyright: reportArgumentType=false

import copy
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.decoder import DecoderConfig
from edge_kws.detector import Detector
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import Golden, Pack
from edge_kws.runners.native import NativeRunner
from edge_kws_converters.compiler import read_model
from edge_kws_converters.foreign import ESPHOME_FRONTEND, import_microwakeword
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.reference import Reference
from tests.golden.loudness_pack import loudness_pack
from tests.golden.tiny_model import features, schema, tiny_model, tiny_pack

pymicro_wakeword = pytest.importorskip("pymicro_wakeword")
FOLDER = Path(pymicro_wakeword.__file__).parent / "models"
DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.flac"
LEAD_IN = np.random.default_rng(1).normal(0, 10, 32_000).astype(np.int16)
ESPHOME = "esphome==2026.6.5"


def _loudness() -> Pack:
    return loudness_pack(frontend=ESPHOME_FRONTEND, min_consecutive=1)


def _export(pack: Pack, folder: Path) -> Path:
    path = pack.write(folder / "pack.tflite")
    assert main(["export", str(path), "--to", "esphome", "--out", str(folder / "esphome")]) == 0
    return folder / "esphome" / f"{pack.info.name}.json"


def _theirs(manifest: Path, pcm: NDArray[np.int16]) -> tuple[NDArray[np.float64], float]:
    """Averages of pymicro-wakeword, one a call of the model, and the cutoff."""
    model: Any = pymicro_wakeword.MicroWakeWord.from_config(manifest)
    scores = [float(model.process_streaming_prob(f)) for f in pymicro_wakeword.MicroWakeWordFeatures().process_streaming(pcm.tobytes())]
    stride, cutoff = int(model.stride), float(model.probability_cutoff)
    model.close()
    return np.array(scores[stride - 1 :: stride]), cutoff


def test_two_class_pack_detects_in_their_runtime(tmp_path: Path) -> None:
    pack = _loudness()
    manifest = _export(pack, tmp_path)
    speech, _ = soundfile.read(DEMO, dtype="int16")
    pcm = np.concatenate([LEAD_IN, speech[:160_000]])
    scores, cutoff = _theirs(manifest, pcm)
    above = np.flatnonzero(scores > cutoff)
    ours = [
        (event.end - pack.frontend.window_samples) // pack.frontend.hop_samples // pack.inference_stride_hops
        for event in Detector([pack]).process(pcm)
    ]
    theirs: list[int] = []
    for call in above:  # the pack's refractory time, which their runtime leaves to its user
        if not theirs or call - theirs[-1] > pack.decoder.refractory_steps:
            theirs.append(int(call))
    assert len(ours) >= 3
    assert len(theirs) == len(ours)
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 2


def test_posterior_is_that_of_the_pack(tmp_path: Path) -> None:
    pack = _loudness()
    model = _export(pack, tmp_path).with_suffix(".tflite").read_bytes()
    stride = pack.inference_stride_hops
    rows = feature_rows(4000, pack.frontend.mel_bins, seed=5)
    rows = np.clip(rows.astype(np.int16) + (np.sin(np.arange(len(rows)) / 60) * 60).astype(np.int16)[:, None], -128, 127).astype(np.int8)
    graph = read_model(model)
    streaming = Reference(model, graph)
    found = np.array([int(streaming.run(rows[i : i + stride])[0]) for i in range(0, len(rows) - stride + 1, stride)])
    expected = NativeRunner(pack.model, stride).scan(rows, stride)[:, 1].astype(int)
    steps = np.abs(found[len(found) - len(expected) :] - expected)
    assert np.count_nonzero((expected > -100) & (expected < 100)) > 50
    assert steps.max() <= 4
    assert np.mean(steps) < 1


@pytest.mark.parametrize("name", ["alexa", "okay_nabu"])
def test_imported_model_goes_back_as_it_came(name: str, tmp_path: Path) -> None:
    manifest = _export(import_microwakeword(FOLDER / f"{name}.json", "Apache-2.0"), tmp_path)
    speech, _ = soundfile.read(DEMO, dtype="int16")
    pcm = np.concatenate([LEAD_IN, speech])
    mine, cutoff = _theirs(manifest, pcm)
    original, theirs = _theirs(FOLDER / f"{name}.json", pcm)
    assert cutoff == pytest.approx(theirs, abs=1 / 256)
    full = 80  # calls until the window and the average are full
    # Their runtime rounds features with the scale of the model's input, which is ESPHome's own (D = 666) in ours and 26 / 255 in theirs.
    np.testing.assert_allclose(mine[full:], original[full:], atol=0.02)
    np.testing.assert_array_equal(mine[full:] > cutoff, original[full:] > theirs)


@pytest.mark.parametrize("name", ["alexa", "loudness"])
def test_tflm_runs_it_in_the_arena_of_the_manifest(name: str, tmp_path: Path) -> None:
    runtime: Any = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: it has wheels for x86_64 only").runtime
    pack = _loudness() if name == "loudness" else import_microwakeword(FOLDER / f"{name}.json")
    manifest = _export(pack, tmp_path)
    arena = json.loads(manifest.read_text())["micro"]["tensor_arena_size"]
    interpreter = runtime.Interpreter.from_bytes(manifest.with_suffix(".tflite").read_bytes(), arena_size=arena)
    assert interpreter.get_input_details(0)["shape"].tolist() == [1, pack.inference_stride_hops, 40]
    interpreter.set_input(feature_rows(pack.inference_stride_hops, 40)[np.newaxis], 0)
    interpreter.invoke()
    assert interpreter.get_output(0).dtype == np.uint8
    assert interpreter.get_output(0).shape == (1, 1)


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (lambda: Pack.load("marvin"), "train with [frontend] noise_reduction = true, pcan = true, feature_divisor = 666"),
        (lambda: loudness_pack(frontend=FrontendConfig(noise_reduction=True, pcan=True), min_consecutive=1), "feature_divisor = 666"),
        (lambda: loudness_pack(frontend=ESPHOME_FRONTEND), "min_consecutive 2"),
        (lambda: Pack.load("commands"), "12 labels"),
    ],
)
def test_pack_that_would_hear_something_else_is_refused(pack: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pack().write(tmp_path / "pack.tflite")
    assert main(["export", str(path), "--to", "esphome", "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_operator_that_esphome_does_not_register_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def squash(model: Any) -> None:
        """RESHAPE of the logits -> RELU of the logits, both (1, 2)."""
        reshape = next(o for o in model.subgraphs[0].operators if o.builtinOptionsType == schema.BuiltinOptions.ReshapeOptions)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
        code.version = 1
        model.operatorCodes.append(code)
        relu, middle = schema.OperatorT(), copy.copy(model.subgraphs[0].tensors[reshape.outputs[0]])
        model.subgraphs[0].tensors.append(middle)
        relu.opcodeIndex, relu.outputs = len(model.operatorCodes) - 1, list(reshape.outputs)
        relu.inputs = reshape.outputs = [len(model.subgraphs[0].tensors) - 1]
        model.subgraphs[0].operators.insert(model.subgraphs[0].operators.index(reshape) + 1, relu)

    model = tiny_model(bins=40, classes=2, input_scale=ESPHOME_FRONTEND.input_scale, edit=squash)
    decoder = DecoderConfig(thresholds=(None, 0.5))
    pack = tiny_pack(
        model,
        golden=Golden.record(model, features(1, bins=40)),
        labels=("_unknown_", "word"),
        frontend=ESPHOME_FRONTEND,
        decoder=decoder,
        task="wake_word",
    )
    path = pack.write(tmp_path / "pack.tflite")
    assert main(["export", str(path), "--to", "esphome", "--out", str(tmp_path / "out")]) == 2
    assert "found RELU; train without" in capsys.readouterr().err


DEVICE = """
esphome:
  name: speaker
esp32:
  variant: esp32s3
  framework:
    type: esp-idf
i2s_audio:
  - i2s_lrclk_pin: GPIO3
    i2s_bclk_pin: GPIO2
microphone:
  - platform: i2s_audio
    id: mic
    adc_type: external
    i2s_din_pin: GPIO4
micro_wake_word:
  microphone: mic
  models:
    - model: MANIFEST
"""


@pytest.mark.slow
def test_esphome_accepts_the_manifest(tmp_path: Path) -> None:
    found = shutil.which("esphome")
    if found is None and importlib.util.find_spec("uv") is None:
        pytest.skip("neither esphome nor uv, which would fetch it, is installed")
    # A tool of its own: its pins do not fit those of this project.
    command = [found] if found else [sys.executable, "-m", "uv", "tool", "run", "--from", ESPHOME, "esphome"]
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{ESPHOME} cannot be installed here")
    manifest = _export(_loudness(), tmp_path)
    device = manifest.with_name("speaker.yaml")

    def check() -> subprocess.CompletedProcess[str]:
        device.write_text(DEVICE.replace("MANIFEST", manifest.name))
        return subprocess.run([*command, "config", str(device)], capture_output=True, text=True, check=False)

    done = check()
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(manifest.read_text())
    del document["micro"]["tensor_arena_size"]
    manifest.write_text(json.dumps(document))
    assert check().returncode != 0  # ESPHome does look into it
