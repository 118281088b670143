"""`edge-kws report --board`: what it says was counted was counted, and counts of the layers add up."""

import json
from pathlib import Path

import pytest

from edge_kws.cli.main import main
from edge_kws.errors import BoardError
from edge_kws_boards.emulator import build
from edge_kws_boards.layer_counts import functions
from tests.firmware.test_boards import ROOT, installed
from tests.golden.tiny_model import tiny_pack


def test_a_pack_is_measured_layer_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed("m4")
    path = str(tiny_pack().write(tmp_path / "tiny.tflite"))
    assert main(["report", path, "--board", "qemu-m4"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("measured, gcc", "front end", "both", "a second of audio", "CONV_2D (hidden)", "taking turns"))
    assert "~" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert main(["report", path, "--board", "qemu-m4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["estimated"] is None
    assert found["model"]["bit_exact"]
    assert found["frontend"]["bit_exact"]
    layers = {layer["name"]: layer["instructions"] for layer in found["layers"]}
    assert sum(layers.values()) == pytest.approx(found["model"]["output_instructions"])
    assert all(count > 0 for count in layers.values())
    assert layers["operator 0 CONV_2D (hidden)"] == max(layers.values())
    assert found["model"]["hop_instructions"] <= found["model"]["most_hop_instructions"]


@pytest.mark.parametrize("name", ["m4", "rv32"])
def test_what_a_layer_calls_counts_for_the_layer(tmp_path: Path, name: str) -> None:
    """Ten nops called for owner 5 and twice for owner 6, whatever lies between."""
    nops = '__asm__ volatile("nop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop");'
    apart = "__attribute__((noinline)) void"
    source = tmp_path / "program.c"
    source.write_text(
        f'#include "board.h"\nvoid work(void); void five(void); void six(void);\n{apart} work(void) {{ {nops} }}\n'
        f'{apart} five(void) {{ work(); __asm__ volatile(""); }}\n{apart} six(void) {{ work(); work(); __asm__ volatile(""); }}\n'
        "int board_main(void) { BOARD_REGION_BEGIN(); five(); six(); BOARD_REGION_END(); return 0; }\n"
    )
    firmware = build(installed(name), tmp_path / "build", root=ROOT, harness=[source], sources=[])
    numbers = {"board_main": 0, "five": 5, "six": 6}
    run = firmware.run(owners={at: numbers[name] for name, lies in functions(firmware).items() if name in numbers for at in lies})
    (owned,), (profile,) = run.owned, run.profiles
    assert sum(owned.values()) == run.instructions[0] == firmware.run().instructions[0]
    work = profile["work"]
    assert {owner: owned[owner] for owner in (5, 6)} == {5: profile["five"] + work // 3, 6: profile["six"] + 2 * work // 3}


def test_a_program_too_large_for_a_board_is_told(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text('#include "board.h"\nstatic volatile char big[40000];\nint board_main(void) { return big[7]; }\n')
    with pytest.raises(BoardError, match=r"m0: expected a program for 16,384 bytes of RAM, found [\d,]+ bytes more"):
        build(installed("m0"), tmp_path / "build", root=ROOT, harness=[source], sources=[])
