"""Whether the parts of a pack agree with each other; each check raises PackError without naming the file, which the caller adds."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.decoder import DecoderConfig
from edge_kws.errors import EdgeKwsError, PackError
from edge_kws.frontend import FEATURE_ZERO_POINT, FrontendConfig
from edge_kws.pack_flatbuffer import TensorSpec, graph_io
from edge_kws.pack_info import PackInfo, one_line
from edge_kws.runners.litert import LiteRtRunner

OUTPUT_SCALE, OUTPUT_ZERO_POINT = 1 / 256, -128
MAX_GOLDEN_WINDOWS = 256
_MAX_WINDOW_FRAMES = 10_000
_EXPORT_AGAIN = "export the model again with the front end it was trained with"
_BUILD_AGAIN = "build the pack again"


def check_hashes(model: bytes, golden_sha256: str, info: PackInfo) -> None:
    """The model and the golden vectors are those the info was written for."""
    if len(model) != info.model_bytes:
        raise PackError(f"model_bytes: expected {len(model)}, found {info.model_bytes}; {_BUILD_AGAIN}")
    model_sha256 = hashlib.sha256(model).hexdigest()
    for what, found, expected in (("model", model_sha256, info.model_sha256), ("golden vectors", golden_sha256, info.golden_sha256)):
        if found != expected:
            raise PackError(
                f"wrong hash of the {what}: expected SHA-256 {expected[:16]}..., found {found[:16]}...; get the file again from its source"
            )


def check_agreement(model: bytes, info: PackInfo, windows: NDArray[np.int8], outputs: NDArray[np.int8]) -> None:
    """Graph, front end, decoder, labels and golden vectors fit each other."""
    frontend = _frontend(info)
    _decoder(info)
    frames = _check_graph(model, frontend, len(info.labels))
    expected = (frames, frontend.mel_bins)
    if windows.ndim != 3 or windows.dtype != np.int8 or windows.shape[1:] != expected or not 1 <= len(windows) <= MAX_GOLDEN_WINDOWS:
        wanted = f"int8 (1..{MAX_GOLDEN_WINDOWS}, {frames}, {frontend.mel_bins})"
        raise PackError(f"golden windows: expected {wanted}, found {windows.dtype} {windows.shape}; {_BUILD_AGAIN}")
    if outputs.dtype != np.int8 or outputs.shape != (len(windows), len(info.labels)):
        wanted = f"int8 ({len(windows)}, {len(info.labels)})"
        raise PackError(f"golden outputs: expected {wanted}, found {outputs.dtype} {outputs.shape}; {_BUILD_AGAIN}")


def replay(model: bytes, windows: NDArray[np.int8], outputs: NDArray[np.int8]) -> None:
    """The reference kernels make the golden outputs of the golden windows, byte for byte."""
    runner = LiteRtRunner(model, reference=True)
    for index, (window, expected) in enumerate(zip(windows, outputs, strict=True)):
        found = runner.run(window)
        if not np.array_equal(found, expected):
            at = int(np.argmax(found != expected))
            step = "do not trust this pack; build it again"
            raise PackError(
                f"golden window {index}, class {at}: expected {expected[at]}, found {found[at]} from LiteRT BUILTIN_REF; {step}"
            )


def _frontend(info: PackInfo) -> FrontendConfig:
    try:
        config = FrontendConfig.from_dict(info.frontend)
    except EdgeKwsError as error:
        raise PackError(f"edge_kws.json: {one_line(error)}; {_BUILD_AGAIN}") from None
    except OverflowError:
        raise PackError(f"edge_kws.json: front end: expected numbers in range, found one beyond every range; {_BUILD_AGAIN}") from None
    _check_keys("front end", info.frontend, config.to_dict())
    return config


def _decoder(info: PackInfo) -> DecoderConfig:
    try:
        config = DecoderConfig.from_dict(info.decoder)
    except EdgeKwsError as error:
        raise PackError(f"edge_kws.json: {one_line(error)}; {_BUILD_AGAIN}") from None
    except OverflowError:
        raise PackError(f"edge_kws.json: decoder: expected numbers in range, found one beyond every range; {_BUILD_AGAIN}") from None
    _check_keys("decoder", info.decoder, config.to_dict())
    if len(config.thresholds) != len(info.labels):
        raise PackError(
            f"edge_kws.json: decoder: expected {len(info.labels)} thresholds, one a label, found {len(config.thresholds)}; {_BUILD_AGAIN}"
        )
    return config


def _check_keys(part: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """A key that silently took its default would be a guess."""
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise PackError(f"edge_kws.json: {part}: expected {', '.join(missing)}, found no such key; {_BUILD_AGAIN}")


def _check_graph(model: bytes, frontend: FrontendConfig, classes: int) -> int:
    """Checks input and output tensors; returns the frames in a window."""
    inputs, outputs = graph_io(model)
    if len(inputs) != 1 or len(outputs) != 1:
        raise PackError(f"model: expected 1 input and 1 output, found {len(inputs)} and {len(outputs)}; {_EXPORT_AGAIN}")
    (source,), (result,) = inputs, outputs
    bins = frontend.mel_bins
    shape = source.shape[:-1] if len(source.shape) == 4 and source.shape[-1] == 1 else source.shape
    if len(shape) != 3 or shape[0] != 1 or shape[2] != bins or not 1 <= shape[1] <= _MAX_WINDOW_FRAMES:
        raise PackError(f"model input shape: expected (1, frames, {bins}) or (1, frames, {bins}, 1), found {source.shape}; {_EXPORT_AGAIN}")
    _check_quantization("input", source, frontend.input_scale, FEATURE_ZERO_POINT, f"D/(256*25.6) with D = {frontend.feature_divisor}")
    _check_quantization("output", result, OUTPUT_SCALE, OUTPUT_ZERO_POINT, "1/256, as softmax and logistic have it")
    count = 1
    for size in result.shape:
        count *= max(size, 0)
    if count != classes:
        raise PackError(f"model output: expected {classes} elements, one a label, found shape {result.shape}; {_EXPORT_AGAIN}")
    return shape[1]


def _check_quantization(which: str, tensor: TensorSpec, scale: float, zero_point: int, why: str) -> None:
    if tensor.dtype != "int8":
        raise PackError(f"model {which} type: expected int8, found {tensor.dtype}; quantise the model to full int8 before packing it")
    if tensor.scale is None or tensor.zero_point is None:
        raise PackError(f"model {which}: expected one scale and zero point, found none; {_EXPORT_AGAIN}")
    wanted = np.float32(scale)
    # One step of float32 apart is the same number computed another way; NaN fails.
    if not abs(np.float32(tensor.scale) - wanted) <= np.spacing(wanted):
        raise PackError(f"model {which} scale: expected {wanted:.9g} ({why}), found {tensor.scale:.9g}; {_EXPORT_AGAIN}")
    if tensor.zero_point != zero_point:
        raise PackError(f"model {which} zero point: expected {zero_point}, found {tensor.zero_point}; {_EXPORT_AGAIN}")
