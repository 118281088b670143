"""QUANTIZE and DEQUANTIZE at the edges come off; everything else stays."""

from typing import Any

import pytest

from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import make_program
from edge_kws_converters.passes.strip_edges import strip_edges
from edge_kws_converters.readers.tflite import read_tflite
from tests.golden.compiled import check_whole
from tests.golden.operator_models import OperatorModel


def _dressed(inside: str, outside: str, leave: str = "DEQUANTIZE") -> bytes:
    """A RELU between conversions from and to other types."""
    net = OperatorModel()
    shape: Any = (1, 5, 4)
    zero = 128 if inside == "uint8" else 0
    scale = None if inside == "float32" else 0.1
    source = net.tensor(shape, scale, zero, dtype=inside)
    first, second = net.tensor(shape, 0.1, 0), net.tensor(shape, 0.1, 0)
    net.operator("QUANTIZE", [source], [first])
    net.operator("RELU", [first], [second])
    result = net.tensor(shape, None if outside == "float32" else 0.1, 128 if outside == "uint8" else 0, dtype=outside)
    net.operator(leave, [second], [result])
    return net.finish(source, result)


@pytest.mark.parametrize("inside", ["float32", "uint8"])
@pytest.mark.parametrize(("outside", "leave"), [("float32", "DEQUANTIZE"), ("uint8", "QUANTIZE")])
def test_int8_is_left(inside: str, outside: str, leave: str, tmp_path: Any) -> None:
    model = _dressed(inside, outside, leave)
    graph = read_tflite(model)
    strip_edges(graph)
    assert [node.op for node in graph.nodes] == ["relu"]
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {"int8"}
    check_whole(model, tmp_path)


def test_a_change_of_scale_between_int8_tensors_stays() -> None:
    graph = read_tflite(_dressed("int8", "int8", "QUANTIZE"))
    strip_edges(graph)
    assert [node.op for node in graph.nodes] == ["quantize", "relu", "quantize"]


def test_a_float_input_with_other_readers_is_no_edge() -> None:
    net = OperatorModel()
    source = net.tensor((1, 4), dtype="float32", name="audio")
    first, second, result = net.tensor((1, 4), 0.1, 0), net.tensor((1, 4), 0.2, 0), net.tensor((1, 4), 0.2, 0)
    net.operator("QUANTIZE", [source], [first])
    net.operator("QUANTIZE", [source], [second])
    net.operator("ADD", [first, second], [result])
    with pytest.raises(ConversionError, match="input audio: expected int8, found float32"):
        make_program(net.finish(source, result))
