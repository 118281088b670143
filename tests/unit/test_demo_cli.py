"""`edge-kws demo` on the speech that ships: words beside detections, and a picture."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_demo_hears_words_and_draws(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    command = [sys.executable, "-m", "edge_kws.cli.main", "demo", "--picture", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert done.stdout.count("heard at") >= 4, done.stdout
    assert str(picture) in done.stdout


@pytest.mark.parametrize("name", ["nowhere/demo.png", "demo"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_listening(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "edge_kws.cli.main", "demo", "--picture", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--picture" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
