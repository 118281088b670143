"""`edge-kws evaluate`: tables, JSON and report for both kinds of pack; one line and exit code 2 for what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_kws.cli.main import main
from tests.golden.loudness_pack import loudness_pack
from tests.golden.tiny_model import float_model, tiny_model, tiny_pack


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tflite"
    tiny_pack().write(path)
    return path


def write_noise(path: Path, seconds: float, level: float = 1000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path.name))).normal(0, level, round(seconds * 16000))
    soundfile.write(path, noise.clip(-32768, 32767).astype(np.int16), 16000)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("_silence_", "_unknown_", "yes"):
        for index in range(3):
            write_noise(tmp_path / "data" / label / f"{index}.wav", 0.15)
    return tmp_path / "data"


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("edge-kws: error: ")
    assert captured.out == ""
    return lines[0]


def test_keywords(tiny: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(tiny), "--data", str(data), "--json", str(tmp_path / "r.json"), "--report", str(tmp_path / "r.html")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for words in ("tiny 1.2.3: 9 clips", "top-1", "macro recall", "_silence_", "no folder"):
        assert words in shown, words
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["top1"] == found["correct"] / 9
    assert found["missing_labels"] == ["no"]
    assert found["data"] == str(data)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "r.html", "r.json", "tiny.tflite"]


@pytest.mark.parametrize("named", [True, False])
def test_float_beside_int8(tiny: Path, data: Path, tmp_path: Path, named: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Named on the command line, or found beside the pack as training leaves it."""
    model = tmp_path / ("exact.tflite" if named else "tiny.float.tflite")
    model.write_bytes(float_model())
    arguments = ["evaluate", str(tiny), "--data", str(data), "--json", str(tmp_path / "r.json")]
    assert main([*arguments, "--float", str(model)] if named else arguments) == 0
    assert "top-1 float" in capsys.readouterr().out
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["float_top1"] == found["float_comparison"]["top1"]
    assert 0 <= found["float_top1"] <= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing of the kind", "expected a float .tflite"),
        (tiny_model(), "found int8 (1, 13, 10, 1) to int8 (1, 4)"),
        (float_model(frames=14), "found float32 (1, 14, 10, 1)"),
        (float_model(classes=5), "to float32 (1, 5)"),
        (None, "No such file"),
    ],
)
def test_a_float_model_that_does_not_fit(
    tiny: Path, data: Path, tmp_path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "x.tflite").write_bytes(content)
    assert words in fails(["evaluate", str(tiny), "--data", str(data), "--float", str(tmp_path / "x.tflite")], capsys)


def test_wake_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tmp_path / "loud.tflite"
    loudness_pack().write(pack)
    for index in range(3):
        write_noise(tmp_path / "data" / "positive" / f"{index}.wav", 0.5, 9000)
    write_noise(tmp_path / "data" / "negative" / "still [bold]" / "a.wav", 3, 5)
    write_noise(tmp_path / "data" / "negative" / "b.wav", 0.5, 9000)
    assert main(["evaluate", str(pack), "--data", str(tmp_path / "data"), "--json", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    for words in ("3 recordings of loud", "pack's own", "cannot claim 0.1 FA/h", "still [bold]", "unsorted"):
        assert words in shown, words
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["misses"] == 0
    assert found["false_accepts"] == 1


def test_a_folder_that_is_no_label(tiny: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_noise(data / "maybe" / "a.wav", 0.2)
    assert "folder 'maybe' is not a label" in fails(["evaluate", str(tiny), "--data", str(data)], capsys)


def test_an_empty_folder(tiny: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "no").mkdir()
    assert "no: no recordings in it" in fails(["evaluate", str(tiny), "--data", str(data)], capsys)


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_an_unreadable_clip_leaves_no_results(
    tiny: Path, data: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "yes" / "bad.wav").write_bytes(content)
    target = tmp_path / "r.json"
    assert "bad.wav" in fails(["evaluate", str(tiny), "--data", str(data), "--json", str(target)], capsys)
    assert not target.exists()


def test_a_missing_pack_and_a_damaged_one(data: Path, tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing" in fails(["evaluate", str(tmp_path / "nothing.tflite"), "--data", str(data)], capsys)
    tiny.write_bytes(tiny.read_bytes()[:-20])
    assert "tiny.tflite" in fails(["evaluate", str(tiny), "--data", str(data)], capsys)


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_target_that_cannot_be_written_is_found_before_the_work(
    tiny: Path, data: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "yes" / "bad.wav").write_bytes(b"the work would fail on this")
    beneath = tmp_path / "no" / "such" / "r"
    assert f"{beneath}: expected a folder" in fails(["evaluate", str(tiny), "--data", str(data), option, str(beneath)], capsys)
    assert "found a folder" in fails(["evaluate", str(tiny), "--data", str(data), option, str(tmp_path)], capsys)


def test_data_is_required(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tiny)]) == 2
    assert "--data" in capsys.readouterr().err
