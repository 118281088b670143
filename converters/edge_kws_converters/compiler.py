"""The compiler in one call: model bytes to C."""

from edge_kws_converters.graph import Graph
from edge_kws_converters.passes.clean import clean
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.passes.streamify import streamify
from edge_kws_converters.program import Program
from edge_kws_converters.readers.onnx import is_onnx, read_onnx
from edge_kws_converters.readers.tflite import read_tflite
from edge_kws_converters.writers.c import CModel, write_c
from edge_kws_converters.writers.tflite import write_tflite


def read_model(model: bytes, name: str = "model") -> Graph:
    """The graph of a model, TFLite or ONNX, between its int8 edges. Raises ConversionError."""
    return clean((read_onnx if is_onnx(model) else read_tflite)(model, name))


def make_program(model: bytes, *, name: str = "model", stride: int | None = None) -> Program:
    """The row program of a model.

    Args:
        model: int8 TFLite flatbuffer, or ONNX in QDQ form.
        name: how errors name it.
        stride: hops between outputs of the streaming form; None compiles the whole window.

    Raises:
        ConversionError: damaged, unknown operators, or not streamable exactly; names the layer and the reason.
    """
    program = lower(read_model(model, name))
    return program if stride is None else streamify(program, stride)


def onnx_to_tflite(model: bytes, name: str = "model") -> bytes:
    """The TFLite form of a QDQ ONNX model that can be compiled. Raises ConversionError; it names nodes as the ONNX file does."""
    graph = read_model(model, name)
    flatbuffer = write_tflite(graph)
    lower(graph)
    return flatbuffer


def compile_model(
    model: bytes,
    *,
    name: str = "model",
    core: str = "host",
    stride: int | None = None,
    frontend_digest: str = "",
    c_name: str | None = None,
) -> CModel:
    """C of a model for a core (a key of kernels.CORES); arguments as `make_program` and `write_c`. Raises ConversionError."""
    return write_c(make_program(model, name=name, stride=stride), core, name=c_name, frontend_digest=frontend_digest)
