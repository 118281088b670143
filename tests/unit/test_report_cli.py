"""`edge-kws report`: every layer with its costs, and the memory plan as a picture."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge_kws.cli.main import main
from edge_kws_converters.compiler import compile_model
from edge_kws_converters.costs import model_cost
from tests.golden.tiny_model import tiny_model, tiny_pack


def test_report_names_layers_and_draws_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plan = tiny_pack().write(tmp_path / "tiny.tflite"), tmp_path / "plan.svg"
    assert main(["report", str(path), "--core", "cortex-m4", "--plan", str(plan)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("CONV_2D (hidden)", "SOFTMAX (posteriors)", "one output every"))
    boxes = ET.parse(plan).getroot().iter("{http://www.w3.org/2000/svg}title")
    assert any("hidden" in (box.text or "") for box in boxes)


@pytest.mark.parametrize("stride", [None, 1, 4])
def test_costs_add_up(stride: int | None) -> None:
    model = compile_model(tiny_model(frames=13, step=1), stride=stride)
    cost = model_cost(model, "host")
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
