"""`--to tflite-streaming`: the incremental model gives the bytes of whole windows in LiteRT and TFLM, and compiles to C again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.errors import ConversionError
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws_converters.compiler import read_model
from edge_kws_converters.golden import feature_rows, golden_rows
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.reference import Reference
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming
from tests.golden.compiled import run_self_test
from tests.golden.networks import NETWORKS
from tests.golden.tiny_model import tiny_model, tiny_pack


def _check(model: bytes, streaming: bytes, stride: int, run_whole: Any, run_step: Any) -> None:
    graph = read_model(model)
    rows, width = graph.tensors[graph.inputs[0]].rows[0], graph.tensors[graph.inputs[0]].elements // graph.tensors[graph.inputs[0]].rows[0]
    steps = rows // stride + 8
    features = feature_rows(steps * stride, width)
    compared = 0
    for step in range(steps):
        end = (step + 1) * stride
        found = run_step(features[end - stride : end])
        if end >= rows:
            assert np.array_equal(found, run_whole(features[end - rows : end]))
            compared += 1
    assert compared >= 7
    assert len(streaming) < len(model) + 30_000


def _litert(model: bytes) -> Any:
    return Reference(model, read_model(model)).run


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 40])
def test_litert_gives_whole_windows(step: int, stride: int) -> None:
    model = tiny_model(frames=20, step=step, channel_axis=step != 2)
    streaming = write_tflite_streaming(model, stride)
    _check(model, streaming, stride, _litert(model), _litert(streaming))


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "bc_resnet"])
@pytest.mark.parametrize("stride", [1, 2])
def test_networks_in_litert_and_compiled_again(name: str, stride: int, tmp_path: Path) -> None:
    model = NETWORKS[name](valid=True)
    streaming = write_tflite_streaming(model, stride)
    _check(model, streaming, stride, _litert(model), _litert(streaming))
    if stride == 2:  # at every hop means take every second row, which no compiled model with state does
        graph = read_model(streaming)
        program = lower(graph)
        run_self_test(program, golden_rows(program, Reference(streaming, graph)), tmp_path)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
@pytest.mark.parametrize("phases", [False, True])
def test_shipped_packs_in_litert_and_compiled_again(name: str, phases: bool, tmp_path: Path) -> None:
    pack = Pack.load(name)
    stride = 1 if phases else pack.inference_stride_hops
    streaming = write_tflite_streaming(pack.model, stride)
    _check(pack.model, streaming, stride, _litert(pack.model), _litert(streaming))
    graph = read_model(streaming)
    program = lower(graph)
    assert (program.stride, program.has_state) == (stride, True)
    run_self_test(program, golden_rows(program, Reference(streaming, graph)), tmp_path)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_shipped_packs_in_tflm(name: str) -> None:
    runtime: Any = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: it has wheels for x86_64 only").runtime
    pack = Pack.load(name)
    stride = pack.inference_stride_hops
    streaming = write_tflite_streaming(pack.model, stride)

    def runner(model: bytes) -> Any:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=500_000)
        shape = interpreter.get_input_details(0)["shape"]

        def run(rows: NDArray[np.int8]) -> NDArray[np.int8]:
            interpreter.set_input(rows.reshape(shape), 0)
            interpreter.invoke()
            return interpreter.get_output(0).reshape(-1)

        return run

    _check(pack.model, streaming, stride, runner(pack.model), runner(streaming))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tiny_pack().write(tmp_path / "tiny.tflite"), tmp_path / "made" / "tiny_streaming.tflite"
    assert main(["convert", str(path), "--to", "tflite-streaming", "--out", str(out)]) == 0
    assert "keeps its own state" in capsys.readouterr().out
    assert any(node.op == "history" for node in read_model(out.read_bytes()).nodes)
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(tiny_model())
    assert main(["convert", str(plain), "--to", "tflite-streaming", "--out", str(out)]) == 2
    assert "give --stride" in capsys.readouterr().err


def test_refusal() -> None:
    with pytest.raises(ConversionError, match="pads time"):
        write_tflite_streaming(tiny_model(padded=True), 1)
