"""The TFLite reader: a malformed file is one ConversionError, never a crash, a hang or another exception."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import compile_model, make_program, read_model
from edge_kws_converters.passes.lower_layers import LAYERS
from edge_kws_converters.passes.lower_views import VIEWS
from edge_kws_converters.readers.tflite_operators import OPERATORS
from tests.golden.operator_models import OperatorModel, options
from tests.golden.tiny_model import tiny_model


def _models(root: Path) -> list[bytes]:
    package = pytest.importorskip("pymicro_wakeword")
    names = ("alexa", "okay_nabu")
    foreign = [(Path(package.__file__).parent / "models" / f"{name}.tflite").read_bytes() for name in names]
    return [tiny_model(), (root / "models" / "commands.tflite").read_bytes(), *foreign]


def _compile(model: bytes) -> None:
    with contextlib.suppress(ConversionError):
        make_program(model)
        make_program(model, stride=2)


_CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 3), changes=_CHANGES, early=st.booleans())
def test_mutated_bytes(root: Path, which: int, changes: list[tuple[float, int]], early: bool) -> None:
    model = bytearray(_models(root)[which])
    # The structure of most files lies in their first and last parts; weights in between only change numbers.
    for place, value in changes:
        span = min(len(model), 4000) if early else len(model)
        at = int(place * (span - 1))
        model[at if place < 0.5 or early else len(model) - 1 - (len(model) - 1 - at) % 8000] = value
    _compile(bytes(model))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 3), keep=st.floats(0, 1))
def test_truncated(root: Path, which: int, keep: float) -> None:
    model = _models(root)[which]
    _compile(model[: int(len(model) * keep)])


@settings(max_examples=100)
@given(words=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2**32 - 1)), min_size=1, max_size=6))
def test_mutated_offsets(words: list[tuple[int, int]]) -> None:
    model = bytearray(tiny_model())
    for word, value in words:
        at = 4 * (word % (len(model) // 4))
        model[at : at + 4] = value.to_bytes(4, "little")
    _compile(bytes(model))


def test_not_a_model() -> None:
    with pytest.raises(ConversionError, match="not a TFLite file"):
        read_model(b"hello, world: no flatbuffer")


def test_unknown_operators_are_named_with_index_and_tensor() -> None:
    net = OperatorModel()
    source, middle, result = (net.tensor((1, 4), 0.1, 0, name=name) for name in ("in", "between", "rounded"))
    net.operator("LOGISTIC", [source], [middle])
    net.operator("ROUND", [middle], [result])
    with pytest.raises(ConversionError, match=r"operator 1 of code 116 \(rounded\)"):
        read_model(net.finish(source, result))


def test_every_operator_that_is_read_is_compiled() -> None:
    by_passes = {"dequantize", "transpose", "call_once", "var_handle", "read_variable", "assign_variable"}
    assert {name for name, _ in OPERATORS.values()} - by_passes == {*LAYERS, *VIEWS} - {"history"}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 5, 1, 3), "batch 1"), ((1, 5, 1, 4), "weights for 4 channels"), ((1, 1, 1, 3), "an input of at least 3 x 1")],
)
def test_shapes_that_do_not_fit(shape: tuple[int, ...], expected: str) -> None:
    import numpy as np

    net = OperatorModel()
    source = net.tensor(shape, 0.1, 0)
    weights = net.tensor((2, 3, 1, 3), 0.1, 0, np.ones((2, 3, 1, 3), np.int8))
    result = net.tensor((1, 3, 1, 2), 0.1, 0, name="out")
    net.operator("CONV_2D", [source, weights, -1], [result], options("Conv2D", padding=1, strideH=1, strideW=1))
    with pytest.raises(ConversionError, match=expected):
        compile_model(net.finish(source, result))
