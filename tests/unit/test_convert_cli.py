"""`edge-kws convert`: what it writes compiles and passes its own test; what it refuses leaves nothing behind."""

import subprocess
from pathlib import Path

import pytest

from edge_kws.cli.main import main
from edge_kws.pack import Pack
from tests.golden.compiled import STRICT, compiler
from tests.golden.tiny_model import tiny_model, tiny_pack


def _pack(tmp_path: Path, model: bytes | None = None) -> Path:
    return tiny_pack(model).write(tmp_path / "tiny.tflite")


def _run_self_test(folder: Path) -> int:
    program = folder / "self_test"
    files = [str(path) for path in sorted(folder.glob("*.c"))]
    subprocess.run([compiler(), *STRICT, "-DEKWS_SELF_TEST_MAIN", *files, "-o", str(program)], check=True)
    return subprocess.run([str(program)], check=False).returncode


@pytest.mark.parametrize("core", ["cortex-m0plus", "host", "portable", "rv32"])
def test_a_pack_becomes_streaming_c(core: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["convert", str(_pack(tmp_path)), "--to", "c", "--core", core, "--out", str(out), "--name", "Wake word!"]) == 0
    assert f"for {core}" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["model.c", "model.h", "self_test.c"]
    header = (out / "model.h").read_text()
    assert f'#define EKWS_WAKE_WORD_FRONTEND_DIGEST "{Pack.load(tmp_path / "tiny.tflite").frontend.digest()}"' in header
    assert "ekws_wake_word_push" in header
    assert _run_self_test(out) == 0


def test_a_plain_model_becomes_whole_window_c(tmp_path: Path) -> None:
    model = tmp_path / "plain.tflite"
    model.write_bytes(tiny_model())
    assert main(["convert", str(model), "--to", "c", "--out", str(tmp_path / "out")]) == 0
    assert "ekws_plain_run" in (tmp_path / "out" / "model.h").read_text()
    assert _run_self_test(tmp_path / "out") == 0


def test_c_array_holds_the_flatbuffer_without_the_zip(tmp_path: Path) -> None:
    path, out = _pack(tmp_path), tmp_path / "out"
    assert main(["convert", str(path), "--to", "c-array", "--out", str(out)]) == 0
    data = path.read_bytes()
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include <stdint.h>\n#include "tiny_tflite.h"\nint main(void) {\n'
        "  fwrite(ekws_tiny_tflite, 1, EKWS_TINY_TFLITE_BYTES, stdout);\n"
        "  return (int)((uintptr_t)ekws_tiny_tflite % 16);\n}\n"
    )
    program = tmp_path / "dump"
    subprocess.run([compiler(), *STRICT, f"-I{out}", str(tmp_path / "main.c"), str(out / "tiny_tflite.c"), "-o", str(program)], check=True)
    stored = subprocess.run([str(program)], capture_output=True, check=True).stdout
    assert data.startswith(stored)
    assert data[len(stored) :].startswith(b"PK\x03\x04")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--core", "z80"], "core: expected one of host, cortex-m0"),
        (["--stride", "1"], "cannot be streamed exactly, because it pads time"),
        ([], "cannot be streamed exactly, because it pads time"),
    ],
)
def test_refusals_write_nothing(arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = _pack(tmp_path, tiny_model(padded=True)), tmp_path / "out"
    assert main(["convert", str(path), "--to", "c", "--out", str(out), *arguments]) == 2
    found = capsys.readouterr().err
    assert expected in found
    assert found.count("\n") == 1
    assert not out.exists()


def test_what_cannot_be_streamed_is_converted_windowed_when_asked(tmp_path: Path) -> None:
    path, out = _pack(tmp_path, tiny_model(padded=True)), tmp_path / "out"
    assert main(["convert", str(path), "--to", "c", "--out", str(out), "--stride", "0"]) == 0
    assert _run_self_test(out) == 0


@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_files_that_are_no_model(content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tflite"
    if content is not None:
        path.write_bytes(content)
    assert main(["convert", str(path), "--to", "c", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("edge-kws: error: ")
