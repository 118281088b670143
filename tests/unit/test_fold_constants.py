"""Constant folding: what an operator makes of constants is what LiteRT's reference kernels make of them, and bad ones are named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import make_program
from edge_kws_converters.passes.fold_constants import fold_constants
from edge_kws_converters.readers.tflite import read_tflite
from tests.golden.operator_models import OperatorModel, options

_SHAPE = (1, 3, 4)
Make = Callable[[OperatorModel, np.random.Generator], int]


def _stored(net: OperatorModel, rng: np.random.Generator, shape: tuple[int, ...] = _SHAPE) -> int:
    return net.tensor(shape, rng.choice([0.02, 0.11, 1.7]), int(rng.integers(-128, 128)), rng.integers(-128, 128, shape, np.int8))


def _real(net: OperatorModel, rng: np.random.Generator) -> int:
    # Halves of a step of 0.25, too: rounding is away from zero.
    return net.tensor(_SHAPE, data=(rng.integers(-90, 90, _SHAPE) / 8).astype(np.float32))


def _int8(net: OperatorModel, rng: np.random.Generator, shape: tuple[int, ...] = _SHAPE) -> int:
    return net.tensor(shape, float(rng.choice([0.05, 0.25, 0.9])), int(rng.integers(-128, 128)))


def _quantize(net: OperatorModel, rng: np.random.Generator) -> int:
    made = _int8(net, rng)
    net.operator("QUANTIZE", [_real(net, rng)], [made])
    return made


def _requantize(net: OperatorModel, rng: np.random.Generator) -> int:
    made = _int8(net, rng)
    net.operator("QUANTIZE", [_stored(net, rng)], [made])
    return made


def _dequantize(net: OperatorModel, rng: np.random.Generator) -> int:
    made = net.tensor(_SHAPE, dtype="float32")
    net.operator("DEQUANTIZE", [_stored(net, rng)], [made])
    return made


def _dequantize_channels(net: OperatorModel, rng: np.random.Generator) -> int:
    made = net.tensor(_SHAPE, dtype="float32")
    data = rng.integers(-127, 128, _SHAPE, np.int8)
    net.operator("DEQUANTIZE", [net.tensor(_SHAPE, rng.uniform(0.01, 0.1, 3).astype(np.float32), 0, data, axis=1)], [made])
    return made


def _halves(net: OperatorModel, rng: np.random.Generator) -> int:
    made = net.tensor(_SHAPE, dtype="float32")
    net.operator("DEQUANTIZE", [net.tensor(_SHAPE, data=rng.normal(0, 3, _SHAPE).astype(np.float16))], [made])
    return made


def _moved(name: str, shape: tuple[int, ...], *arguments: Any, **fields: Any) -> Make:
    def make(net: OperatorModel, rng: np.random.Generator) -> int:
        source = _stored(net, rng)
        kept = net.tensors[source].quantization
        made = net.tensor(shape, kept.scale, kept.zeroPoint[0])
        net.operator(name, [source, *map(net.ints, arguments)], [made], options(name.title(), **fields) if fields else None)
        return made

    return make


def _pair(name: str, *, real: bool = False, activation: int = 0) -> Make:
    def make(net: OperatorModel, rng: np.random.Generator) -> int:
        operands = [_real(net, rng), _real(net, rng)] if real else [_stored(net, rng), _stored(net, rng, (1, 1, 4))]
        made = net.tensor(_SHAPE, dtype="float32") if real else _int8(net, rng)
        net.operator(name, operands, [made], options(name.title(), fusedActivationFunction=activation))
        return made

    return make


def _function(name: str) -> Make:
    def make(net: OperatorModel, rng: np.random.Generator) -> int:
        made = net.tensor(_SHAPE, 1 / 256, -128) if name == "LOGISTIC" else _int8(net, rng)
        net.operator(name, [_stored(net, rng)], [made])
        return made

    return make


CASES: dict[str, Make] = {
    "quantize": _quantize,
    "requantize": _requantize,
    "dequantize": _dequantize,
    "dequantize_channels": _dequantize_channels,
    "dequantize_halves": _halves,
    "reshape": _moved("RESHAPE", (4, 3), [4, 3], newShape=[4, 3]),
    "transpose": _moved("TRANSPOSE", (4, 1, 3), [2, 0, 1]),
    "pad": _moved("PAD", (1, 6, 5), [[0, 0], [1, 2], [0, 1]]),
    "add": _pair("ADD"),
    "add_relu6": _pair("ADD", activation=3),
    "sub": _pair("SUB"),
    "mul": _pair("MUL", activation=1),
    "add_real": _pair("ADD", real=True, activation=1),
    "mul_real": _pair("MUL", real=True),
    "relu": _function("RELU"),
    "hard_swish": _function("HARD_SWISH"),
    "logistic": _function("LOGISTIC"),
}


@settings(max_examples=12)
@given(seed=st.integers(0, 2**20))
@pytest.mark.parametrize("name", CASES)
def test_folded_constants_are_those_of_litert(name: str, seed: int) -> None:
    net = OperatorModel()
    source = net.tensor((1, 2), 0.1, 0)
    result = net.tensor((1, 2), 0.1, 0)
    made = CASES[name](net, np.random.default_rng(seed))
    net.operator("RELU", [source], [result])
    model = net.finish(source, result)
    graph = read_tflite(model)
    fold_constants(graph)
    assert [node.op for node in graph.nodes] == ["relu"]
    interpreter: Any = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    np.testing.assert_array_equal(graph.tensors[made].data, interpreter.get_tensor(made), strict=True)


def _sum(shape: tuple[int, ...] = (1, 3, 4), scale: float = 0.1, result: tuple[int, ...] = _SHAPE) -> bytes:
    """A layer whose weights' constant operand is itself a sum."""
    net, rng = OperatorModel(), np.random.default_rng(0)
    source = net.tensor(_SHAPE, 0.1, 0)
    operands = [net.tensor(s, scale, 0, rng.integers(-128, 128, s, np.int8)) for s in ((1, 3, 4), shape)]
    made, out = net.tensor(result, 0.1, 0, name="constant sum"), net.tensor(_SHAPE, 0.2, 0)
    net.operator("ADD", operands, [made], options("Add"))
    net.operator("MUL", [source, made], [out], options("Mul"))
    return net.finish(source, out)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (_sum(shape=(1, 2, 4)), "constants that fit each other"),
        (_sum(result=(1, 3, 5)), "constants that fit each other"),
        (_sum(scale=0.0), "a scale above 0"),
    ],
)
def test_constants_that_do_not_fit_are_named(model: bytes, expected: str) -> None:
    with pytest.raises(ConversionError, match=rf"operator 0 ADD \(constant sum\): expected {expected}"):
        make_program(model)


def test_constants_that_grow_beyond_reason_are_refused() -> None:
    """A file of a few kilobytes that asks for gigabytes."""
    net = OperatorModel()
    source, result = net.tensor((1, 2), 0.1, 0), net.tensor((1, 2), 0.1, 0)
    constant, big = net.tensor((1, 1), 0.1, 0, np.zeros((1, 1), np.int8)), (1, 1 << 23)
    for _ in range(9):
        made = net.tensor(big, 0.1, 0, name="huge")
        net.operator("PAD", [constant, net.ints([[0, 0], [0, big[1] - 1]])], [made])
    net.operator("RELU", [source], [result])
    with pytest.raises(ConversionError, match=r"operator 2 PAD \(huge\): expected constants of at most"):
        make_program(net.finish(source, result))
