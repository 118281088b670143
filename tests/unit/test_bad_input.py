"""What a user sees who gives the commands something bad: one line, exit status 2, no traceback, no half-written file."""

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_kws.audio.devices import InputDevice
from edge_kws.cli.main import main
from tests.golden.spoiled_packs import assemble
from tests.golden.tiny_model import FRONTEND, float_model, tiny_model, tiny_pack

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs: nothing but `tiny.tflite`, a sound pack, and `good.wav`."""
    monkeypatch.chdir(tmp_path)
    tiny_pack().write(tmp_path / "tiny.tflite")
    soundfile.write(tmp_path / "good.wav", np.zeros(16_000, np.int16), 16_000)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of the error."""
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    *other, line = captured.err.splitlines()
    assert line.startswith("edge-kws: error: ")
    assert all(words.endswith("source failed") for words in other), "what was heard before is summed up, no more"
    assert "Traceback" not in captured.out + captured.err
    assert sorted(Path().rglob("*")) == before
    return line


def _empty(path: Path) -> None:
    path.touch()


def _text(path: Path) -> None:
    path.write_text("no sound in here\n" * 40)


def _no_channels(path: Path) -> None:
    soundfile.write(path, np.zeros(8000, np.int16), 16_000)
    content = bytearray(path.read_bytes())
    content[22:24] = struct.pack("<H", 0)
    path.write_bytes(content)


def _nan(path: Path) -> None:
    soundfile.write(path, np.where(np.arange(8000) == 77, np.nan, 0).astype(np.float32), 16_000, subtype="FLOAT")


def _truncated(path: Path) -> None:
    soundfile.write(path, np.zeros(8000, np.int16), 16_000)
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_text, "not an audio file"),
        (_empty, "the file is empty"),
        (_no_channels, "Channel count is zero"),
        (_nan, "sample 77 is NaN or infinite"),
        (_truncated, "promises 16000 bytes of audio, the file holds 8956"),
        (None, "No such file"),
    ],
)
@pytest.mark.parametrize("command", ["listen", "demo"])
def test_audio(folder: Path, command: str, spoil: Callable[[Path], None] | None, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if spoil is not None:
        spoil(folder / "x.wav")
    arguments = ["listen", "--model", "tiny.tflite", "--input", "x.wav"] if command == "listen" else ["demo", "x.wav"]
    line = refused(capsys, *arguments)
    assert "x.wav: " in line
    assert words in line


def test_audio_that_is_only_unusual(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """96 kHz, 8 channels, 24 bit."""
    soundfile.write(folder / "x.wav", np.random.default_rng(0).normal(0, 0.1, (96_000, 8)), 96_000, subtype="PCM_24")
    assert main(["listen", "--model", "tiny.tflite", "--input", "x.wav"]) == 0
    assert "1.00 s of audio" in capsys.readouterr().err


class _PortAudioError(Exception):
    pass


def _refuse(**_: Any) -> None:
    raise _PortAudioError("Error opening InputStream: Device unavailable", -9985)


@pytest.mark.parametrize(
    ("devices", "options", "words"),
    [
        ([], [], "no input device: PortAudio lists none"),
        (["built-in"], ["--device", "webcam"], "device 'webcam' fits no input device (0 'built-in')"),
        (["built-in"], ["--device", "7"], "input device 7 does not exist; expected one of 0"),
        (["built-in"], [], "Device unavailable', -9985)); another program may be holding it: close that program"),
    ],
)
def test_devices(
    folder: Path, devices: list[str], options: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [InputDevice(i, name, "ALSA", 1, 16_000, i == 0) for i, name in enumerate(devices)]
    driver = SimpleNamespace(PortAudioError=_PortAudioError, InputStream=_refuse)
    monkeypatch.setattr("edge_kws.audio.microphone.list_devices", lambda: found)
    monkeypatch.setattr("edge_kws.audio.microphone.import_sounddevice", lambda: driver)
    line = refused(capsys, "listen", "--model", "tiny.tflite", *options)
    assert words in line
    assert "edge-kws devices" in line


PACK = tiny_pack()
SOUND = PACK.to_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SOUND[: len(SOUND) // 2], "truncated"),
        (b"no model " * 99, "not a TFLite file"),
        (assemble(PACK, info=lambda info: info.update(schema_version=99)), "schema"),
        (assemble(PACK, model=tiny_model(frames=14)), "expected int8 (1..256, 14, 10), found int8 (3, 13, 10)"),
        (assemble(PACK, model=tiny_model(bins=12)), "input shape: expected (1, frames, 10)"),
        (assemble(PACK, model=tiny_model(classes=3)), "expected 4 elements, one a label, found shape (1, 3)"),
        (assemble(PACK, model=tiny_model(input_scale=2 * FRONTEND.input_scale)), "scale"),
        (assemble(PACK, model=float_model()), "float32"),
        (tiny_model(), "no zip (a plain model"),
        (None, "found neither"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "listen", "evaluate"])
def test_packs(folder: Path, command: str, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (folder / "x.tflite").write_bytes(content)
    options = {"inspect": [], "listen": ["--input", "good.wav"], "evaluate": ["--data", "."]}[command]
    line = refused(capsys, command, *(["--model"] if command == "listen" else []), "x.tflite", *options)
    assert "x.tflite: " in line
    assert words in line


def test_recipe_with_an_unknown_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (RECIPES / "commands.toml").read_text().replace("[student]", "[student]\ncolour = 3", 1)
    (folder / "x.toml").write_text(text)
    line = refused(capsys, "train", "x.toml")
    assert "x.toml: " in line
    assert "colour" in line


RECIPE = """
name = "x"
version = "1"
description = "d"
task = "keywords"
keywords = ["yes"]
[student]
family = "hybrid"
"""


def _empty_class(data: Path) -> str:
    for clip in (data / "yes").iterdir():
        clip.unlink()
    return "yes: expected recordings of 'yes', found an empty class"


def _unreadable_file(data: Path) -> str:
    clip = min((data / "no").iterdir())
    clip.write_text("no sound in here")
    return f"no/{clip.name}: "


def _speaker_in_two_splits(data: Path) -> str:
    one, other, *_ = sorted((data / "yes").iterdir())
    other.rename(other.with_name(one.name.replace("nohash_0", "nohash_1")))
    (data / "testing_list.txt").write_text(f"yes/{one.name}\n")
    (data / "validation_list.txt").write_text(f"yes/{one.name.replace('nohash_0', 'nohash_1')}\n")
    return one.name.split("_")[0]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_empty_class, _unreadable_file, _speaker_in_two_splits])
def test_data_sets(folder: Path, spoil: Callable[[Path], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Imports Keras, as training does: slow."""
    (folder / "runs" / "x").mkdir(parents=True)
    data = folder / "data" / "speech_commands"
    for word in ("yes", "no", "_background_noise_"):
        (data / word).mkdir(parents=True)
        for number in range(1 if word.startswith("_") else 30):
            soundfile.write(data / word / f"{number:08x}_nohash_0.wav", np.zeros(16_000, np.int16), 16_000)
    (folder / "x.toml").write_text(RECIPE)
    words = spoil(data)
    assert words in refused(capsys, "train", "x.toml")
