"""`edge-kws report`: every layer with its costs, and the memory plan as a picture."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge_kws.cli.main import main
from edge_kws_boards.emulator import BOARDS
from edge_kws_boards.estimate import TYPICAL
from edge_kws_boards.report import obstacle
from edge_kws_converters.compiler import compile_model
from edge_kws_converters.costs import model_cost
from tests.golden.tiny_model import tiny_model, tiny_pack

ROOT = Path(__file__).resolve().parents[2]


def test_report_names_layers_and_draws_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plan = tiny_pack().write(tmp_path / "tiny.tflite"), tmp_path / "plan.svg"
    assert main(["report", str(path), "--core", "cortex-m4", "--plan", str(plan)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("CONV_2D (hidden)", "SOFTMAX (posteriors)", "one output every"))
    boxes = ET.parse(plan).getroot().iter("{http://www.w3.org/2000/svg}title")
    assert any("hidden" in (box.text or "") for box in boxes)


def test_json_of_a_core_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plan = tiny_pack().write(tmp_path / "tiny.tflite"), tmp_path / "plan.svg"
    assert main(["report", str(path), "--json", "--plan", str(plan)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["core"] == "cortex-m4"
    assert sum(layer["macs"] for layer in found["layers"]) == found["macs"]
    assert plan.exists()


@pytest.mark.parametrize("board", [f"qemu-{name}" for name in BOARDS])
def test_without_tools_a_board_is_estimated_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, board: str
) -> None:
    path = str(tiny_pack().write(tmp_path / "tiny.tflite"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(["report", path, "--board", board]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("ESTIMATED", "Nothing was run", "qemu-system-", "not run", "~", "make board-packages"))
    assert "measured" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert main(["report", path, "--board", board, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "needs" in found["estimated"]
    assert found["model"]["bit_exact"] is None
    assert found["compiler"] is None
    assert found["model"]["second_instructions"] > 0


def test_an_installed_copy_is_sent_to_a_checkout(tmp_path: Path) -> None:
    assert "run in a checkout" in str(obstacle(BOARDS["m4"], tmp_path))


def test_estimates_are_near_what_was_measured() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "mcu.json").read_text())
    for row in (row for row in rows if row["unit"] == "hop"):
        typical = TYPICAL[BOARDS[row["core"]].core]
        hop = typical.pcan_hop_instructions if "PCAN" in row["model"] else typical.hop_instructions
        assert hop == pytest.approx(row["instructions"], rel=0.3), row


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--board", "m4"],
            "board: expected one of qemu-m0, qemu-m0plus, qemu-m3, qemu-m4, qemu-m7, qemu-m33, qemu-m55, qemu-rv32, found m4",
        ),
        (["--board", "qemu-esp32"], "found qemu-esp32; choose the nearest"),
        (["--board", "qemu-m4", "--core", "rv32"], "--core: expected without --board"),
        (["--core", "z80"], "core: expected one of"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    path = tiny_pack().write(tmp_path / "tiny.tflite")
    assert main(["report", str(path), *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("stride", [None, 1, 4])
def test_costs_add_up(stride: int | None) -> None:
    model = compile_model(tiny_model(frames=13, step=1), stride=stride, core="portable")
    cost = model_cost(model)
    # 10 rows of a 4 x 10 kernel to 6 channels, then a dense layer over 10 x 6 to 4 classes.
    first = 10 if stride is None else stride
    assert cost.macs == first * 6 * 40 + 4 * 60
    assert cost.arena_bytes <= sum(layer.ring_bytes for layer in cost.layers) + 8 * len(cost.layers)


def test_rings_never_share_addresses_while_both_live() -> None:
    for stride in (None, 1, 2, 3):
        blocks = compile_model(tiny_model(frames=20, step=2), stride=stride).blocks
        for i, a in enumerate(blocks):
            for b in blocks[i + 1 :]:
                assert not a.lives & b.lives or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
