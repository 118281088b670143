"""A pack whose right answers are known without training: one label, `loud`, that fires when the features of the last 0.2 s are high.

The model is a flatbuffer written by hand (schema.fbs of TFLite): FULLY_CONNECTED over the whole window, then SOFTMAX.
"""

from collections.abc import Callable, Sequence

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from edge_kws.decoder import DecoderConfig
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import Golden, Pack, Provenance, build_pack

WINDOW_FRAMES = 20
LABELS = ("_quiet_", "loud")
_INT8, _INT32 = 9, 2
_FULLY_CONNECTED, _SOFTMAX = 9, 25
_FULLY_CONNECTED_OPTIONS, _SOFTMAX_OPTIONS = 8, 9
_THRESHOLD_STEPS = 110  # int8 steps above -128 of the mean feature at which both classes are equal
_LOGIT_SCALE = 0.1


def loudness_pack(name: str = "loudness") -> Pack:
    """A pack that fires `loud` when a loud sound begins."""
    frontend = FrontendConfig()
    model = _loudness_model(frontend)
    windows = np.stack([np.full((WINDOW_FRAMES, frontend.mel_bins), value, np.int8) for value in (-128, -10, 60)])
    return build_pack(
        model,
        Golden.record(model, windows),
        name=name,
        version="1",
        description="fires on loud sounds; for tests",
        task="wake_word",
        labels=LABELS,
        frontend=frontend,
        decoder=DecoderConfig(thresholds=(None, 0.6), average_window=2, min_consecutive=2, refractory_steps=40),
        inference_stride_hops=2,
        parameters=2 * WINDOW_FRAMES * frontend.mel_bins + 2,
        macs_per_window=2 * WINDOW_FRAMES * frontend.mel_bins,
        macs_per_hop=WINDOW_FRAMES * frontend.mel_bins,
        ledger=[],
        license="Apache-2.0",
        recipe="",
        provenance=Provenance(commit="none", seed=0, created="2026-01-01T00:00:00Z", tool_versions={}),
    )


def _loudness_model(frontend: FrontendConfig) -> bytes:
    inputs = WINDOW_FRAMES * frontend.mel_bins
    weight_scale = 1.0 / (frontend.input_scale * inputs * 127 * 10)  # ten int8 steps of the mean feature are one logit
    weights = np.repeat(np.array([[-127], [127]], np.int8), inputs, axis=1)
    bias = np.array([127, -127], np.int32) * inputs * _THRESHOLD_STEPS
    builder = flatbuffers.Builder(4096)
    buffers = [_buffer(builder, data) for data in (b"", weights.tobytes(), bias.tobytes())]
    tensors = [
        _tensor(builder, (1, WINDOW_FRAMES, frontend.mel_bins), _INT8, 0, frontend.input_scale, -128),
        _tensor(builder, (2, inputs), _INT8, 1, weight_scale, 0),
        _tensor(builder, (2,), _INT32, 2, frontend.input_scale * weight_scale, 0),
        _tensor(builder, (1, 2), _INT8, 0, _LOGIT_SCALE, 0),
        _tensor(builder, (1, 2), _INT8, 0, 1 / 256, -128),
    ]
    softmax_options = _table(builder, 1, lambda: builder.PrependFloat32Slot(0, 1.0, 0.0))
    operators = [
        _operator(builder, 0, (0, 1, 2), (3,), _FULLY_CONNECTED_OPTIONS, _table(builder, 3, lambda: None)),
        _operator(builder, 1, (3,), (4,), _SOFTMAX_OPTIONS, softmax_options),
    ]
    fields = [_offsets(builder, tensors), _ints(builder, (0,)), _ints(builder, (4,)), _offsets(builder, operators)]
    graph = _table(builder, 5, lambda: [builder.PrependUOffsetTRelativeSlot(i, field, 0) for i, field in enumerate(fields)])
    graphs, all_buffers = _offsets(builder, [graph]), _offsets(builder, buffers)
    codes = _offsets(builder, [_operator_code(builder, code) for code in (_FULLY_CONNECTED, _SOFTMAX)])

    def model_fields() -> None:
        builder.PrependUint32Slot(0, 3, 0)
        builder.PrependUOffsetTRelativeSlot(1, codes, 0)
        builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
        builder.PrependUOffsetTRelativeSlot(4, all_buffers, 0)

    builder.Finish(_table(builder, 5, model_fields), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, slots: int, fill: Callable[[], object]) -> int:
    builder.StartObject(slots)
    fill()
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, values: NDArray[np.generic]) -> int:
    return builder.CreateNumpyVector(values)


def _ints(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return _vector(builder, np.array(values, np.int32))


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    content = _vector(builder, np.frombuffer(data, np.uint8)) if data else 0
    return _table(builder, 1, lambda: builder.PrependUOffsetTRelativeSlot(0, content, 0))


def _operator_code(builder: flatbuffers.Builder, code: int) -> int:
    def fields() -> None:
        builder.PrependInt8Slot(0, code, 0)
        builder.PrependInt32Slot(2, 1, 0)
        builder.PrependInt32Slot(3, code, 0)

    return _table(builder, 4, fields)


def _tensor(builder: flatbuffers.Builder, shape: Sequence[int], dtype: int, buffer: int, scale: float, zero_point: int) -> int:
    scales, zero_points = _vector(builder, np.array([scale], np.float32)), _vector(builder, np.array([zero_point], np.int64))

    def quantization_fields() -> None:
        builder.PrependUOffsetTRelativeSlot(2, scales, 0)
        builder.PrependUOffsetTRelativeSlot(3, zero_points, 0)

    quantization = _table(builder, 4, quantization_fields)
    dimensions, name = _ints(builder, shape), builder.CreateString(f"tensor_{buffer}_{len(shape)}")

    def fields() -> None:
        builder.PrependUOffsetTRelativeSlot(0, dimensions, 0)
        builder.PrependInt8Slot(1, dtype, 0)
        builder.PrependUint32Slot(2, buffer, 0)
        builder.PrependUOffsetTRelativeSlot(3, name, 0)
        builder.PrependUOffsetTRelativeSlot(4, quantization, 0)

    return _table(builder, 5, fields)


def _operator(builder: flatbuffers.Builder, code: int, inputs: Sequence[int], outputs: Sequence[int], kind: int, options: int) -> int:
    sources, results = _ints(builder, inputs), _ints(builder, outputs)

    def fields() -> None:
        builder.PrependUint32Slot(0, code, 0)
        builder.PrependUOffsetTRelativeSlot(1, sources, 0)
        builder.PrependUOffsetTRelativeSlot(2, results, 0)
        builder.PrependUint8Slot(3, kind, 0)
        builder.PrependUOffsetTRelativeSlot(4, options, 0)

    return _table(builder, 5, fields)
