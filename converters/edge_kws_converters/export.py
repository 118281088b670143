"""Models into folders: what `edge-kws convert` writes."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import read_model
from edge_kws_converters.golden import golden_rows
from edge_kws_converters.graph import Graph
from edge_kws_converters.kernels import check_core
from edge_kws_converters.passes.lower import lower
from edge_kws_converters.passes.streamify import streamify
from edge_kws_converters.reference import Reference
from edge_kws_converters.source import ModelSource
from edge_kws_converters.writers.c import CModel, write_c
from edge_kws_converters.writers.c_array import write_c_array
from edge_kws_converters.writers.c_text import identifier
from edge_kws_converters.writers.self_test import write_self_test
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming


def export_c(source: ModelSource, folder: Path, core: str, *, stride: int | None = None, name: str | None = None) -> CModel:
    """Writes model.c, model.h and self_test.c; nothing is written unless all of it can be.

    Args:
        source: the model.
        folder: made if it is not there.
        core: a key of kernels.CORES.
        stride: hops between outputs of the streaming form; 0 asks for the whole window; None takes a pack's own stride, and the whole
            window of a model that is no pack.
        name: prefix of the C names; the model's name when None.

    Raises:
        ConversionError: a model that cannot be compiled; of a pack, one that cannot be streamed unless `stride` is 0.
    """
    model, graph = _compile(source, core, stride, name)
    windows = source.pack.golden.windows if source.pack else None
    golden = golden_rows(model.program, Reference(source.model, graph), windows)
    write_files(folder, {"model.c": model.source, "model.h": model.header, "self_test.c": write_self_test(model, golden)})
    return model


def plan_c(source: ModelSource, core: str, *, stride: int | None = None, name: str | None = None) -> tuple[CModel, Graph]:
    """The C of a model without golden vectors, not written, and its graph; arguments and errors as `export_c`."""
    return _compile(source, core, stride, name)


def _compile(source: ModelSource, core: str, stride: int | None, name: str | None) -> tuple[CModel, Graph]:
    check_core(core)
    pack = source.pack
    if stride is None:
        stride = pack.inference_stride_hops if pack else 0
    graph = read_model(source.model, source.name)
    program = lower(graph)
    if stride and not program.stride:
        streamify(program, stride)
    return write_c(program, core, name=name or source.name, frontend_digest=pack.frontend.digest() if pack else ""), graph


def export_c_array(source: ModelSource, folder: Path, *, name: str | None = None) -> list[str]:
    """Writes the flatbuffer as a C array and returns the names of the files; an appended zip stays behind."""
    files = write_c_array(source.stored, identifier(name or source.name), source.name)
    write_files(folder, files)
    return list(files)


def export_tflite_streaming(source: ModelSource, path: Path, *, stride: int | None = None) -> int:
    """Writes the incremental TFLite form and returns its size in bytes.

    Args:
        source: the model.
        path: the file.
        stride: rows of each call; a pack's own stride when None.

    Raises:
        ConversionError: no stride, or a model that cannot be streamed exactly.
    """
    stride = stride or (source.pack.inference_stride_hops if source.pack else None)
    if stride is None:
        raise ConversionError(f"{source.name}: streaming: expected the hops of each call, found none; give --stride")
    flatbuffer = write_tflite_streaming(source.model, stride, source.name)
    write_files(path.parent, {path.name: flatbuffer})
    return len(flatbuffer)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Each file appears whole or not at all. Raises ConversionError where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as scratch:
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content.encode() if isinstance(content, str) else content)
            for name in files:
                (Path(scratch) / name).replace(folder / name)
    except OSError as error:
        raise ConversionError(f"{folder}: expected a folder that can be written, found: {error.strerror}; choose another --out") from None
