"""Board descriptions: the ones that ship are sound, and a wrong one is told in one line."""

import json
from pathlib import Path

import pytest

from edge_kws.cli.main import main
from edge_kws.errors import BoardError
from edge_kws_boards.description import boards, find_description, read_description
from edge_kws_converters.kernels import check_core

FOLDER = Path(__file__).resolve().parents[2] / "boards" / "edge_kws_boards" / "descriptions"
ROOT = FOLDER.parents[2]


def test_every_description_is_sound() -> None:
    assert len(boards()) == len(list(FOLDER.glob("*.toml"))) >= 10
    for board in boards().values():
        check_core(board.core)
        assert (ROOT / "firmware" / "ports" / board.port.name / "port.c").is_file()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("core =", "cores =", "found nothing"),
        ("clock_hz = 25_000_000", "clock_hz = 25_000_001", "multiple of 1000000"),
        ("receive_bytes = 1_024", "receive_bytes = 1_000", "receive_bytes: expected a power of two, found 1000"),
        ('proven = "emulated"', 'proven = "yes"', "'emulated', 'built' or 'run on hardware', found 'yes'"),
        ("stack_bytes = 2_048", 'stack_bytes = "2048"', "memory.stack_bytes"),
        ('method = "emulator"', 'method = "uf3"', "flash.method"),
        ("[emulator]", "[emulators]", "emulator"),
        ('name = "qemu-m4"', 'name = "qemu-m5"', "name: expected the file's, qemu-m4, found qemu-m5"),
        ("[port]", "[port", "expected a board description (TOML)"),
    ],
)
def test_a_wrong_description_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (FOLDER / "qemu-m4.toml").read_text()
    assert old in text
    path = tmp_path / "qemu-m4.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(BoardError) as error:
        read_description(path)
    assert told in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_an_unknown_board_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BoardError, match=r"qemu-m4, .*found arduino; docs/porting.md"):
        find_description("arduino")
    assert main(["build", "marvin", "--board", "arduino", "--out", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_boards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["board", *boards()]
    assert main(["boards", "--json"]) == 0
    assert [board["name"] for board in json.loads(capsys.readouterr().out)] == list(boards())
