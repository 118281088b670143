"""PAD and activations go into their neighbours where that changes no byte, and stay layers of their own elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph
from edge_kws_converters.passes.find_history import find_history
from edge_kws_converters.passes.fuse import fuse
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.readers.tflite import read_tflite
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming
from tests.golden.compiled import check_whole
from tests.golden.operator_models import OperatorModel, options
from tests.golden.tiny_model import tiny_model

_ROWS, _WIDTH, _CHANNELS = 7, 5, 3


class _Net(OperatorModel):
    """(1, 7, 5, 3) in; every tensor has one scale, so that operators only differ in what they do."""

    def __init__(self) -> None:
        super().__init__()
        self.source = self.image(_ROWS, _WIDTH)

    def image(self, rows: int, width: int, scale: float = 0.1, zero: int = -7) -> int:
        return self.tensor((1, rows, width, _CHANNELS), scale, zero)

    def conv(self, source: int, result: int, *, same: bool = False) -> int:
        rng = np.random.default_rng(len(self.tensors))
        weights = self.tensor((_CHANNELS, 3, 3, _CHANNELS), 0.01, 0, rng.integers(-127, 128, (_CHANNELS, 3, 3, _CHANNELS)).astype(np.int8))
        bias = self.tensor((_CHANNELS,), 0.001, 0, rng.integers(-900, 900, _CHANNELS).astype(np.int32))
        fields = {"padding": int(not same), "strideH": 1, "strideW": 1}
        self.operator("CONV_2D", [source, weights, bias], [result], options("Conv2D", **fields))
        return result

    def pad(self, source: int, result: int) -> int:
        self.operator("PAD", [source, self.ints([[0, 0], [1, 2], [0, 1], [0, 0]])], [result])
        return result

    def pool(self, name: str, source: int, result: int) -> int:
        fields = {"padding": 0, "strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 2}
        self.operator(name, [source], [result], options("Pool2D", **fields))
        return result

    def join(self, first: int, second: int) -> int:
        result = self.image(_ROWS, _WIDTH, 0.15, 3)
        self.operator("ADD", [first, second], [result], options("Add"))
        return result


def _fused(model: bytes) -> Graph:
    graph = read_tflite(model)
    fuse(graph)
    return graph


@pytest.mark.parametrize("same", [False, True])
def test_pad_goes_into_a_convolution(same: bool, tmp_path: Path) -> None:
    net = _Net()
    padded = net.pad(net.source, net.image(10, 6))
    model = net.finish(net.source, net.conv(padded, net.image(*((10, 6) if same else (8, 4)), scale=0.2), same=same))
    (node,) = _fused(model).nodes
    assert node.window is not None
    assert node.window.pads == (1, 2, 0, 1)
    check_whole(model, tmp_path)


def test_pad_with_another_reader_stays(tmp_path: Path) -> None:
    net = _Net()
    padded = net.pad(net.source, net.image(10, 6))
    largest = net.image(10, 6)
    net.pool("MAX_POOL_2D", padded, largest)
    first, second = net.conv(padded, net.image(8, 4)), net.conv(largest, net.image(8, 4))
    result = net.tensor((1, 8, 4, 3), 0.2, 0)
    net.operator("ADD", [first, second], [result], options("Add"))
    model = net.finish(net.source, result)
    assert [node.op for node in _fused(model).nodes] == ["pad", "max_pool_2d", "conv_2d", "conv_2d", "add"]
    check_whole(model, tmp_path)


@pytest.mark.parametrize(
    ("name", "activation"), [("RELU", "relu"), ("RELU6", "relu6"), ("RELU_N1_TO_1", "relu_n1_to_1"), ("QUANTIZE", "none")]
)
@pytest.mark.parametrize("rescaled", [False, True])
def test_activation_goes_into_the_operator_before_it(name: str, activation: str, rescaled: bool, tmp_path: Path) -> None:
    net = _Net()
    made = net.conv(net.source, net.image(5, 3))
    result = net.image(5, 3, scale=0.12 if rescaled else 0.1)
    net.operator(name, [made], [result])
    model = net.finish(net.source, result)
    nodes = _fused(model).nodes
    assert [node.op for node in nodes] == (["conv_2d", name.lower()] if rescaled else ["conv_2d"])
    assert nodes[0].activation == ("none" if rescaled else activation)
    check_whole(model, tmp_path)


def test_activation_of_one_reader_leaves_the_other_alone(tmp_path: Path) -> None:
    net = _Net()
    made = net.conv(net.source, net.image(_ROWS, _WIDTH), same=True)
    bounded = net.image(_ROWS, _WIDTH)
    net.operator("RELU", [made], [bounded])
    model = net.finish(net.source, net.join(made, bounded))
    assert [node.op for node in _fused(model).nodes] == ["conv_2d", "relu", "add"]
    check_whole(model, tmp_path)


def test_readers_that_pad_one_tensor_differently(tmp_path: Path) -> None:
    """A convolution pads with the zero point, a largest value with the smallest, an average not at all."""
    net = _Net()
    largest, average = (net.pool(name, net.source, net.image(_ROWS, _WIDTH)) for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"))
    first = net.join(net.conv(net.source, net.image(_ROWS, _WIDTH), same=True), largest)
    check_whole(net.finish(net.source, net.join(first, average)), tmp_path)


def test_padding_around_a_slice_is_no_row_beside_it(tmp_path: Path) -> None:
    net = _Net()
    part = net.image(4, _WIDTH)
    bounds = [net.ints([0, 2, 0, 0]), net.ints([1, 6, _WIDTH, _CHANNELS]), net.ints([1, 1, 1, 1])]
    net.operator("STRIDED_SLICE", [net.source, *bounds], [part], options("StridedSlice"))
    check_whole(net.finish(net.source, net.conv(part, net.image(4, _WIDTH), same=True)), tmp_path)


def test_a_model_with_state_pads_no_time() -> None:
    """Before its rows lie those of the step before, not zeros."""
    graph = read_tflite(write_tflite_streaming(tiny_model(frames=20), 4))
    find_history(graph)
    conv = next(node for node in graph.nodes if node.op == "conv_2d")
    assert conv.window is not None
    conv.window = type(conv.window)(conv.window.kernel, conv.window.stride, same=True)
    with pytest.raises(ConversionError, match=r"CONV_2D .*: expected no padding in time in a model that keeps its own state"):
        lower(graph)


@pytest.mark.parametrize(
    ("pads", "shape", "expected"),
    [
        ([[0, 0], [1, 2], [0, 1], [1, 1]], (1, 10, 6, 5), "channels padded"),
        ([[1, 0], [1, 2], [0, 1], [0, 0]], (1, 10, 6, 3), "none of the batch"),
        ([[0, 0], [-1, 2], [0, 1], [0, 0]], (1, 8, 6, 3), "none of the batch"),
        ([[0, 0], [1, 2], [0, 1], [0, 0]], (1, 9, 6, 3), "an output larger by its padding"),
    ],
)
def test_other_padding_is_refused(pads: list[list[int]], shape: tuple[int, ...], expected: str) -> None:
    net = _Net()
    padded = net.tensor(shape, 0.1, -7, name="padded")
    net.operator("PAD", [net.source, net.ints(pads)], [padded])
    model = net.finish(net.source, net.conv(padded, net.image(8, 4)))
    with pytest.raises(ConversionError, match=rf"operator 0 PAD \(padded\).*{expected}"):
        lower(read_tflite(model))
