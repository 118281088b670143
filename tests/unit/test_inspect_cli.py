"""`edge-kws inspect` and `edge-kws models`."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_kws.cli.main import main
from edge_kws.pack import Golden, Measurement, Pack
from edge_kws.pack_signature import sign
from tests.golden.spoiled_packs import assemble
from tests.golden.tiny_model import LABELS, tiny_pack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_pack().write(tmp_path / "tiny.tflite")


def test_card_says_everything(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path)]) == 0
    card = capsys.readouterr().out
    pack = Pack.load(path)
    for text in (
        "tiny 1.2.3  keywords",
        pack.info.description,
        str(path),
        *LABELS,
        "30 ms window every 10 ms, 10 mel bins 125-7500 Hz, no noise reduction, no PCAN",
        "hears 13 frames (150 ms), runs every 20 ms",
        "mean of 3 posteriors, 2 in a row",
        "490 parameters, 2,640 MACs a window, 240 MACs a hop",
        "93.1%    92.5-93.7 %  4,890  1\n",
        "  1  test split, by BUILTIN_REF\n",
        "0.4      0.05-1.44      2  2\n",
        "  2  radio, by C\n",
        "3, 4\n",
        "  4  cannot claim more: 5 h of audio\n",
        "CC BY 4.0",
        "84,843",
        "keras 3.15.1, python 3.11.7",
        pack.info.model_sha256,
        'kind = "ds_cnn"',
        "3 windows replayed through LiteRT BUILTIN_REF: every byte as recorded",
        "unsigned",
    ):
        assert text in card
    assert "\x1b" not in card
    assert all(line == line.rstrip() for line in card.splitlines())


def test_what_many_figures_share_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = "the test clips of a data set whose name is long"
    quality = [Measurement(name=f"recall {label}", value=0.5, data=data, runner="C", note="few clips") for label in LABELS]
    tiny_pack(quality=quality).write(tmp_path / "x.tflite")
    assert main(["inspect", str(tmp_path / "x.tflite")]) == 0
    card = capsys.readouterr().out
    assert card.count(data) == card.count("few clips") == 1
    assert card.count("  1, 2\n") == len(LABELS)


def test_json_holds_the_whole_info(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    pack = Pack.load(path)
    assert document["info"] == json.loads(pack.info.canonical_json())
    assert document["golden"] == {"windows": 3, "replayed": True, "failure": None}
    assert (document["file_bytes"], document["window_frames"], document["signature"]) == (path.stat().st_size, 13, "none")
    assert document["frontend_digest"] == pack.frontend.digest()


def test_golden_failure_shows_the_card_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tiny_pack()
    spoiled = Golden(pack.golden.windows, pack.golden.outputs ^ 1)
    path = tmp_path / "tiny.tflite"
    path.write_bytes(assemble(pack, golden={"windows": spoiled.windows, "outputs": spoiled.outputs}))
    assert main(["inspect", str(path)]) == 2
    captured = capsys.readouterr()
    assert "tiny 1.2.3" in captured.out
    assert captured.err.count("\n") == 1
    assert f"edge-kws: error: {path}: golden window 0, class 0: expected" in captured.err
    assert main(["inspect", str(path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["golden"]["replayed"] is False


def test_signature_states(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization", reason="cryptography is not installed")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = tmp_path / "author.pem"
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    pack = tiny_pack()
    unsigned, signed = pack.write(tmp_path / "a.tflite"), pack.with_signature(sign(pack, private)).write(tmp_path / "b.tflite")

    assert main(["inspect", str(signed)]) == 0
    assert "signed, not checked" in capsys.readouterr().out
    assert main(["inspect", str(signed), "--key", str(public)]) == 0
    assert "valid for this key" in capsys.readouterr().out
    assert main(["inspect", str(unsigned), "--key", str(public)]) == 2
    assert "expected a signature, found none" in capsys.readouterr().err
    assert main(["inspect", str(signed), "--key", str(tmp_path / "absent.pem")]) == 2
    assert "expected a PEM public key" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\0\0\0\0TFL3" + bytes(100)])
def test_bad_packs_are_one_line_and_exit_2(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "bad.tflite"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run([sys.executable, "-m", "edge_kws.cli.main", "inspect", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edge-kws: error: {path}: ")
    assert done.stderr.count("\n") == 1


def test_on_a_terminal_it_is_coloured_and_fits(path: Path) -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "72"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([sys.executable, "-m", "edge_kws.cli.main", "inspect", str(path)], stdout=child, env=environment)
    os.close(child)
    output = b""
    while chunk := _read(parent):
        output += chunk
    os.close(parent)
    assert process.wait() == 0
    assert b"\x1b[1m" in output
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", output).decode()
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 72
    assert "Measured quality" in plain


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other side has closed
        return b""


def test_ascii_output_does_not_fail(tmp_path: Path) -> None:
    path = tiny_pack(labels=("_silence_", "_unknown_", "größer", "はい")).write(tmp_path / "tiny.tflite")
    done = subprocess.run(
        [sys.executable, "-m", "edge_kws.cli.main", "inspect", str(path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"gr??er" in done.stdout


def test_models_lists_shipped_packs(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_kws.cli.models.shipped_packs", lambda: {"tiny": path})
    assert main(["models"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["name", "task", "size", "detects", "quality", "95", "%", "interval", "licence"]
    assert rows[1].split("  ")[0] == "tiny"
    for text in ("keywords", f"{path.stat().st_size / 1000:.1f} KB", "yes no", "top1 93.1%", "92.5-93.7 %", "Apache-2.0"):
        assert text in rows[1]


def test_models_without_any(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_kws.cli.models.shipped_packs", dict)
    assert main(["models"]) == 0
    assert "No pack ships" in capsys.readouterr().out
