"""`edge-kws import`: foreign models become packs that every part of this project takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_kws.cli.main import main
from edge_kws.pack import Pack
from edge_kws.runners.litert import LiteRtRunner
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming
from tests.golden.tiny_model import FRONTEND, LABELS, float_model, tiny_model, waveform_model

MANIFEST: dict[str, Any] = {
    "type": "micro",
    "wake_word": "Hey You",
    "author": "somebody",
    "model": "word.tflite",
    "trained_languages": ["en"],
    "version": 2,
    "micro": {"probability_cutoff": 0.9, "sliding_window_size": 4, "feature_step_size": 10},
}


def _import(model: bytes, folder: Path, *arguments: str) -> Pack:
    (folder / "foreign.tflite").write_bytes(model)
    out = folder / "packs" / "pack.tflite"
    assert main(["import", "tflite", str(folder / "foreign.tflite"), "--labels", ",".join(LABELS), "--out", str(out), *arguments]) == 0
    return Pack.load(out)


def test_whole_window_model_keeps_its_bytes(tmp_path: Path) -> None:
    model = tiny_model()
    pack = _import(model, tmp_path, "--threshold", "0.7", "--average", "3", "--license", "MIT")
    assert pack.model == model
    assert (pack.frontend, pack.labels, pack.inference_stride_hops) == (FRONTEND, LABELS, 2)
    assert pack.decoder.thresholds == (None, None, 0.7, 0.7)
    assert [line.license for line in pack.info.ledger] == ["imported, licence as stated by its author: MIT"]


@pytest.mark.parametrize(("step", "stride"), [(1, 1), (1, 3), (2, 2), (2, 4)])
def test_streaming_model_becomes_the_window_it_was_made_of(step: int, stride: int, tmp_path: Path) -> None:
    whole = tiny_model(frames=20, step=step)
    pack = _import(write_tflite_streaming(whole, stride), tmp_path)
    assert pack.inference_stride_hops == stride
    assert pack.window_frames % stride == 0
    assert 18 <= pack.window_frames <= 20 + stride
    rows = feature_rows(pack.window_frames + 40, FRONTEND.mel_bins)
    original, unrolled = LiteRtRunner(whole, reference=True), LiteRtRunner(pack.model, reference=True)
    frames, differing = pack.window_frames, 0
    for end in range(max(frames, 20), len(rows) + 1):
        expected = original.run(rows[end - 20 : end])
        np.testing.assert_array_equal(unrolled.run(rows[end - frames : end]), expected)
        differing += int(len(np.unique(expected)) > 1)
    assert differing > 10


def test_model_of_another_scale_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tiny_model())
    arguments = ["import", "tflite", str(path), "--labels", ",".join(LABELS), "--out", str(tmp_path / "pack.tflite")]
    assert main([*arguments, "--esphome-features"]) == 2
    assert "feature divisor 666" in capsys.readouterr().err
    arguments[4] = "one,two"
    assert main(arguments) == 2
    assert "expected 2 elements" in capsys.readouterr().err
    assert not (tmp_path / "pack.tflite").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 1}, "version"),
        ({"type": "macro"}, "type"),
        ({"micro": {**MANIFEST["micro"], "probability_cutoff": 1.5}}, "probability_cutoff"),
        ({"model": "other.tflite"}, "other.tflite"),
    ],
)
def test_manifest_that_does_not_fit_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "word.json").write_text(json.dumps({**MANIFEST, **change}))
    assert main(["import", "microwakeword", str(tmp_path / "word.json"), "--out", str(tmp_path / "pack.tflite")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_manifest_that_is_missing_or_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["import", "microwakeword", str(tmp_path / "word.tflite"), "--out", str(tmp_path / "pack.tflite")]
    assert main(arguments) == 2
    assert "word.json" in capsys.readouterr().err
    (tmp_path / "word.json").write_text("{")
    assert main(arguments) == 2
    assert "manifest of version 2" in capsys.readouterr().err


@pytest.mark.parametrize("model", [b"no model at all", float_model(), waveform_model(100, len(LABELS))])
def test_file_that_is_no_int8_classifier(model: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(model)
    assert main(["import", "tflite", str(path), "--labels", ",".join(LABELS), "--out", str(tmp_path / "pack.tflite")]) == 2
    err = capsys.readouterr().err
    assert "expected" in err
    assert len(err.splitlines()) == 1
