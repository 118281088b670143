"""The ONNX reader: QDQ models give ONNX Runtime's numbers to one step, and what cannot be read is one ConversionError that names it."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import compile_model, make_program, onnx_to_tflite, read_model
from edge_kws_converters.golden import GoldenRows
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.readers.onnx import read_onnx
from edge_kws_converters.readers.tflite import read_tflite
from edge_kws_converters.reference import Reference
from tests.golden.compiled import run_self_test
from tests.golden.once_rounded import OnceRounded
from tests.golden.onnx_models import MODELS, FloatModel, run_float

_INPUTS = 40


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """(1, channels, time) as the compiled model takes it, time first; (1, time, bins) and (1, 1, time, bins) as they are."""
    return values.transpose(0, 2, 1) if values.ndim == 3 and values.shape[1] == 10 else values


def _quantization(model: bytes) -> tuple[Quantization, Quantization]:
    graph = read_model(model)
    edges = [graph.tensors[i].quantization for i in (graph.inputs[0], graph.outputs[0])]
    assert edges[0] is not None
    assert edges[1] is not None
    return edges[0], edges[1]


def _steps(model: bytes, shape: list[int], *, channels_last: bool = True) -> NDArray[np.int64]:
    """Differences from ONNX Runtime in steps of the output, over random inputs; generated C and LiteRT are compared elsewhere."""
    source, result = _quantization(model)
    flatbuffer = onnx_to_tflite(model)
    reference = Reference(flatbuffer, read_model(flatbuffer))
    rng = np.random.default_rng(1)
    differences: list[NDArray[np.int64]] = []
    for index in range(_INPUTS):
        real = rng.normal(0, 0.2 + 0.05 * index, shape)
        q = np.clip(np.rint(real / float(source.scale)) + source.zero_point, -128, 127).astype(np.int8)
        expected = run_float(model, (q.astype(np.float32) - source.zero_point) * source.scale)
        if expected.ndim > 2 and channels_last:
            expected = np.moveaxis(expected, 1, -1)
        steps = np.rint(expected / float(result.scale)).astype(np.int64) + result.zero_point
        differences.append(reference.run(np.ascontiguousarray(_stored(q))).astype(np.int64) - steps.reshape(-1))
    return np.stack(differences)


@pytest.fixture(scope="session", params=[(name, *form) for name in MODELS for form in ((True, False), (False, True))], ids=str)
def quantised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FloatModel, bytes]:
    name, per_channel, unsigned = request.param
    model = MODELS[name]()
    return model, model.quantised(tmp_path_factory.mktemp(name), per_channel=per_channel, unsigned=unsigned)


def _inputs(model: bytes, shape: list[int]) -> Iterator[NDArray[np.int8]]:
    """Random inputs from soft to clipping, as the file orders their axes."""
    source, _ = _quantization(model)
    rng = np.random.default_rng(1)
    for index in range(_INPUTS):
        real = rng.normal(0, 0.2 + 0.05 * index, shape)
        yield np.clip(np.rint(real / float(source.scale)) + source.zero_point, -128, 127).astype(np.int8)


def _check_meaning(model: bytes, shape: list[int]) -> None:
    """The graph means what ONNX Runtime computes: rounded once a tensor, it gives its numbers.

    ONNX Runtime sums in single precision, whose error of about 2^-20 of a sum seldom crosses a rounding boundary: 1 in 1,000 is generous.
    """
    source, result = _quantization(model)
    once = OnceRounded(read_onnx(model))
    differences: list[NDArray[np.int64]] = []
    for q in _inputs(model, shape):
        expected = run_float(model, (q.astype(np.float32) - source.zero_point) * source.scale)
        steps = np.rint(expected / float(result.scale)).astype(np.int64) + result.zero_point
        differences.append(once.run(np.ascontiguousarray(_stored(q))) - steps.reshape(-1))
    found = np.stack(differences)
    assert np.abs(found).max() <= 1
    assert np.mean(found == 0) > 0.999


def _scale(tensor: Tensor) -> float:
    assert tensor.quantization is not None
    return float(tensor.quantization.scales.max())


def _roundings(graph: Graph, node: Node) -> float:
    """How far, in steps, TFLite's arithmetic may lie from an exact result before it rounds to the nearest step.

    A convolution, mean or requantisation rounds to 2^-shift steps first, which errs by half of that. An addition does so with a shift of
    17 bits or more. A dense layer rounds once. Multipliers of 31 bits, sums of up to 2^23 and tables in single precision err by less than
    2^-8. Of the softmax, in fixed point, TFLite states one step; pools, padding and reshaping compute nothing.
    """
    if node.op == "softmax":
        return 0.5
    if node.op in ("conv_2d", "depthwise_conv_2d", "mean", "quantize"):
        tensors = [graph.tensors[i] for i in (*node.inputs, *node.outputs)]
        factor = _scale(tensors[0]) / _scale(tensors[-1])
        if node.window is not None:
            factor *= _scale(tensors[1])
        elif node.op == "mean":
            factor /= math.prod(tensors[0].shape[1:3])
        shift = max(0, -math.frexp(factor)[1])
        return 2.0**-8 + (2.0 ** -(shift + 1) if shift else 0.0)
    return 2.0**-8 if node.op in ("add", "sub", "mul", "fully_connected", "logistic", "tanh") else 0.0


def _check_layers(model: bytes, shape: list[int]) -> None:
    """Each layer of LiteRT's run gives, of its very inputs, the exact result rounded as `_roundings` derives."""
    runtime: Any = pytest.importorskip("ai_edge_litert.interpreter")
    flatbuffer = onnx_to_tflite(model)
    graph = read_tflite(flatbuffer, "model")
    once, kind = OnceRounded(graph), runtime.OpResolverType.BUILTIN_REF
    interpreter = runtime.Interpreter(model_content=flatbuffer, experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    for q in _inputs(model, shape):
        interpreter.set_tensor(entry["index"], _stored(q).reshape(entry["shape"]))
        interpreter.invoke()
        for node in graph.nodes:
            made = interpreter.get_tensor(node.outputs[0]).astype(np.float64)
            exact = once.layer(node, [None if graph.tensors[i].data is not None else interpreter.get_tensor(i) for i in node.inputs])
            error = np.abs(made - exact.reshape(made.shape)).max()
            assert error <= 0.5 + _roundings(graph, node), f"{graph.where(node)}: {error}"


def test_whole_models_mean_what_onnx_runtime_computes(quantised: tuple[FloatModel, bytes]) -> None:
    _check_meaning(quantised[1], quantised[0].shape)


def test_layers_round_as_tflite_does(quantised: tuple[FloatModel, bytes]) -> None:
    """Whole models differ from ONNX Runtime by these roundings alone, layer upon layer; `make test ARGS=-rP` prints by how much."""
    differences = _steps(quantised[1], quantised[0].shape)
    print(f"{np.mean(differences == 0):.1%} of outputs are ONNX Runtime's, the others up to {np.abs(differences).max()} steps off")
    _check_layers(quantised[1], quantised[0].shape)


def _one(shape: list[int], op: str, *weights: tuple[int, ...], **attributes: Any) -> FloatModel:
    model = FloatModel(shape)
    model.add(op, *[model.weights(*w, scale=0.1 if len(w) == 1 else None) for w in weights], **attributes)
    return model


def _between(shape: list[int], op: str, *, out: tuple[float, int] = (0.02, 3), **attributes: Any) -> FloatModel:
    """One operator between QuantizeLinear and DequantizeLinear written by hand."""
    model = FloatModel(shape)
    first = _scaled(model, 0.025, -5)
    model.add(op, *([first] if op == "Add" else []), **attributes)
    _scaled(model, *out)
    return model


def _scaled(model: FloatModel, scale: float, zero: int) -> str:
    parameters = model.constant(np.float32(scale)), model.constant(np.int8(zero))
    model.add("QuantizeLinear", *parameters)
    return model.add("DequantizeLinear", *parameters)


def _constant_sum() -> FloatModel:
    """Adds constants that were themselves added, between quantisations of their own."""
    model = FloatModel([1, 6])
    last = _scaled(model, 0.025, -5)
    model.last = model.weights(6, scale=0.4)
    first = _scaled(model, 0.01, 2)
    model.add("Sub", first, after=model.weights(1, scale=0.2))
    second = _scaled(model, 0.02, -7)
    model.add("Add", second, after=last)
    _scaled(model, 0.04, 1)
    return model


def _bounds(low: float, high: float) -> FloatModel:
    model = _one([1, 1, 8, 6], "Conv", (3, 1, 3, 3))
    model.add("Clip", model.constant(np.float32(low)), model.constant(np.float32(high)))
    return model


ONE_OPERATOR: dict[str, Callable[[], FloatModel]] = {
    "conv": lambda: _one([1, 1, 8, 6], "Conv", (3, 1, 3, 2), (3,), strides=[2, 1], pads=[1, 0, 0, 1]),
    "conv_1d": lambda: _one([1, 10, 12], "Conv", (3, 10, 3), (3,), dilations=[2]),
    "same": lambda: _one([1, 1, 9, 6], "Conv", (3, 1, 4, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    "depthwise_1d": lambda: _one([1, 10, 12], "Conv", (20, 1, 3), (20,), group=10),
    "gemm": lambda: _one([1, 20], "Gemm", (6, 20), (6,), transB=1),
    "matmul": lambda: _one([1, 20], "MatMul", (20, 6)),
    "matmul_rows": lambda: _one([1, 7, 8], "MatMul", (8, 6)),
    "add": lambda: _between([1, 1, 8, 6], "Add", out=(0.06, -4)),
    "add_constants": _constant_sum,
    "relu": lambda: _between([1, 1, 8, 6], "Relu"),
    "relu6": lambda: _bounds(0, 6),
    "clip": lambda: _bounds(-1, 1),
    "average_pool": lambda: _between([1, 10, 12], "AveragePool", kernel_shape=[3], strides=[2], pads=[1, 1], count_include_pad=1),
    "global_average_pool": lambda: _between([1, 1, 8, 6], "GlobalAveragePool"),
    "reduce_mean": lambda: _between([1, 10, 12], "ReduceMean", axes=[2], keepdims=0),
    "max_pool": lambda: _between([1, 10, 12], "MaxPool", out=(0.025, -5), kernel_shape=[3], pads=[1, 1]),
    "softmax": lambda: _between([1, 6], "Softmax", out=(1 / 255, -128)),
    "tanh": lambda: _between([1, 6], "Tanh", out=(1 / 127, 0)),
}


@pytest.mark.parametrize("name", ONE_OPERATOR)
def test_one_operator_within_one_step_of_onnx_runtime(name: str, tmp_path: Path) -> None:
    made = ONE_OPERATOR[name]()
    written = made.proto().SerializeToString()
    model = written if b"QuantizeLinear" in written else made.quantised(tmp_path)
    differences = _steps(model, made.shape, channels_last=name != "matmul_rows")
    print(f"{name}: {np.mean(differences == 0):.1%} equal")
    assert np.abs(differences).max() <= 1


def test_generated_c_gives_the_bytes_of_the_same_graph_in_litert(quantised: tuple[FloatModel, bytes], tmp_path: Path) -> None:
    model = quantised[1]
    flatbuffer = onnx_to_tflite(model)
    reference = Reference(flatbuffer, read_model(flatbuffer))
    program = lower(read_model(model))
    windows = np.random.default_rng(3).integers(-128, 128, (8, program.input.rows * program.input.row_bytes)).astype(np.int8)
    run_self_test(program, GoldenRows(windows, np.stack([reference.run(window) for window in windows])), tmp_path)


def test_the_command_line_takes_it(quantised: tuple[FloatModel, bytes], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(quantised[1])
    assert main(["convert", str(path), "--to", "c", "--out", str(tmp_path / "c")]) == 0
    assert sorted(file.name for file in (tmp_path / "c").iterdir()) == ["model.c", "model.h", "self_test.c"]
    assert main(["convert", str(path), "--to", "c-array", "--out", str(tmp_path / "array")]) == 0


def _grouped() -> FloatModel:
    model = FloatModel((1, 4, 8, 6))
    _scaled(model, 0.02, 0)
    scale, zero, last = model.constant(np.float32(0.02)), model.constant(np.int8(0)), model.last
    weights = model.add("DequantizeLinear", scale, zero, after=model.constant(np.ones((4, 2, 3, 3), np.int8)))
    model.add("Conv", weights, after=last, group=2)
    _scaled(model, 0.02, 0)
    return model


def _clipped() -> FloatModel:
    model = FloatModel((1, 6))
    _scaled(model, 0.02, 0)
    model.add("Clip", model.constant(np.float32(-0.3)), model.constant(np.float32(0.2)))
    _scaled(model, 0.02, 0)
    return model


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: _between([1, 6], "Erf"), r"operator 2 Erf \(erf2\)"),
        (lambda: _between([1, 10, 12], "LpPool", kernel_shape=[2]), r"operator 2 LpPool \(lppool2\)"),
        (
            lambda: _between([1, 10, 12], "AveragePool", kernel_shape=[3], pads=[1, 1]),
            r"operator 2 AveragePool \(\S+\).*count_include_pad 1",
        ),
        (lambda: _between([1, 10, 12], "MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1]), "padding as SAME has it"),
        (lambda: _between([1, 10, 12], "ReduceMean", axes=[1]), "a mean over all axes after the channels"),
        (lambda: _between([2, 6], "Relu"), "batch 1"),
        (_grouped, r"operator \d+ Conv \(\S+\): expected group 1"),
        (_clipped, r"operator 2 Clip \(clip2\).*Clip to -0.3..0.2"),
    ],
)
def test_refusals_name_node_operator_and_tensor(make: Callable[[], FloatModel], expected: str) -> None:
    with pytest.raises(ConversionError, match=expected):
        read_model(make().proto().SerializeToString())


def test_a_constant_along_width_is_no_bias_of_channels() -> None:
    model = FloatModel((1, 1, 5, 4))
    _scaled(model, 0.02, 0)
    scale, zero, last = model.constant(np.float32(0.02)), model.constant(np.int8(0)), model.last
    weights = model.add("DequantizeLinear", scale, zero, after=model.constant(np.ones((4, 1, 1, 1), np.int8)))
    model.add("Conv", weights, after=last)
    model.add("Add", model.constant(np.arange(4, dtype=np.float32)))
    _scaled(model, 0.02, 0)
    with pytest.raises(ConversionError, match=r"Add \(add\d+\): expected a quantised input 0"):
        read_model(model.proto().SerializeToString())


def test_a_float_model_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"operator 0 Conv \(conv0\): expected a quantised input 0"):
        read_model(MODELS["ds_cnn"]().proto().SerializeToString())


def test_not_onnx() -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ConversionError, match="expected an ONNX file"):
        read_model(b"\x08\xff\xff hello")


_CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [make().quantised(tmp_path_factory.mktemp("fuzz")) for make in MODELS.values()]


@settings(max_examples=200, deadline=None)
@given(which=st.integers(0, len(MODELS) - 1), changes=_CHANGES, keep=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_mutated_files(originals: list[bytes], which: int, changes: list[tuple[float, int]], keep: float) -> None:
    model = bytearray(originals[which])
    for place, value in changes:
        model[int(place * (len(model) - 1))] = value
    with contextlib.suppress(ConversionError):
        make_program(bytes(model[: int(len(model) * keep)]))


@settings(max_examples=150, deadline=None)
@given(which=st.integers(0, len(MODELS) - 1), data=st.data())
def test_mutated_structure(originals: list[bytes], which: int, data: st.DataObject) -> None:
    """Well-formed files whose nodes have others' inputs, attributes and shapes."""
    onnx: Any = pytest.importorskip("onnx")
    model = onnx.load_from_string(originals[which])
    nodes = list(model.graph.node)
    for _ in range(data.draw(st.integers(1, 4))):
        node = data.draw(st.sampled_from(nodes))
        kind = data.draw(st.sampled_from(["input", "operator", "attribute", "dims", "swap"]))
        if kind == "input" and node.input:
            other = data.draw(st.sampled_from(nodes))
            node.input[data.draw(st.integers(0, len(node.input) - 1))] = data.draw(st.sampled_from([*other.input, *other.output, ""]))
        elif kind == "operator":
            node.op_type = data.draw(st.sampled_from(nodes)).op_type
        elif kind == "attribute" and node.attribute:
            attribute = data.draw(st.sampled_from(list(node.attribute)))
            attribute.i = value = data.draw(st.sampled_from([-(2**63), -1, 0, 1, 3, 2**40]))
            if attribute.ints:
                attribute.ints[0] = value
        elif kind == "dims":
            entry = data.draw(st.sampled_from(list(model.graph.initializer)))
            if entry.dims:
                entry.dims[0] = data.draw(st.sampled_from([-1, 0, 1, 2, 2**40]))
        else:
            first, second = node.name, data.draw(st.sampled_from(nodes))
            node.name, second.name = second.name, first
            node.output[0] = data.draw(st.sampled_from([node.output[0], second.output[0]]))
    with contextlib.suppress(ConversionError):
        compile_model(model.SerializeToString())


def test_nncf(tmp_path: Path) -> None:
    nncf: Any = pytest.importorskip("nncf", reason="it is in the dev group: make setup")
    onnx: Any = pytest.importorskip("onnx")
    parameters: Any = pytest.importorskip("nncf.quantization.advanced_parameters")
    rng = np.random.default_rng(7)
    model = MODELS["ds_cnn"]()
    inputs = [{"x": rng.normal(0, 1, model.shape).astype(np.float32)} for _ in range(8)]
    one_scale = parameters.QuantizationParameters(per_channel=False)
    advanced = parameters.AdvancedQuantizationParameters(activations_quantization_params=one_scale)
    quantised = nncf.quantize(model.proto(), nncf.Dataset(inputs), subset_size=8, advanced_parameters=advanced)
    with pytest.raises(ConversionError, match=r"Softmax \(softmax9\): expected a quantised input 0"):
        read_model(quantised.SerializeToString())
    # NNCF leaves the last layer's output without a scale: it has to be given.
    helper, graph = onnx.helper, quantised.graph
    graph.initializer.extend([onnx.numpy_helper.from_array(np.float32(0.03), "s"), onnx.numpy_helper.from_array(np.int8(0), "z")])
    last = graph.node.pop()
    graph.node.extend(
        [helper.make_node("QuantizeLinear", ["gemm8", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"])]
    )
    last.input[0] = "dq"
    graph.node.append(last)
    _check_meaning(quantised.SerializeToString(), model.shape)
    _check_layers(quantised.SerializeToString(), model.shape)
