"""Post-training quantisation to the int8 contract of a pack: input scale D / (256 * 25.6), zero point -128; int8 softmax out."""

# Keras and TensorFlow carry no usable types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportArgumentType=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportUntypedBaseClass=false, reportPrivateUsage=false, reportIndexIssue=false

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import QuantizationError
from edge_kws.flatbuffer_builder import packed_model
from edge_kws.frontend import FEATURE_ZERO_POINT, FrontendConfig


def quantise(model: Any, representative: NDArray[np.int8], frontend: FrontendConfig) -> bytes:
    """Quantises a logits model; weights per channel, activations per tensor.

    Args:
        model: Keras model (batch, frames, mel_bins, 1) -> logits (batch, classes).
        representative: int8 features (windows, frames, mel_bins) of real audio; about 300.
        frontend: whose scale the input gets.

    Returns:
        An int8 flatbuffer without tensor names, [1, frames, mel_bins, 1] -> posteriors [1, classes].

    Raises:
        QuantizationError: the converter failed or changed the contract.
    """
    import keras
    import tensorflow as tf

    shape = tuple(int(size) for size in model.inputs[0].shape[1:])
    if representative.ndim != 3 or representative.shape[1:] != shape[:2]:
        raise QuantizationError(f"representative set: expected (windows, {shape[0]}, {shape[1]}), found {representative.shape}")
    # A fixed batch of 1: with a dynamic one the converter writes SPACE_TO_BATCH where TFLM computes something else.
    inputs = keras.Input(batch_shape=(1, *shape))
    whole = keras.Model(inputs, keras.layers.Softmax()(model(inputs)))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window] for window in _real(representative, frontend))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        return _finished(bytes(converter.convert()), frontend)
    except (RuntimeError, ValueError) as error:
        raise QuantizationError(f"TFLite converter: {str(error).splitlines()[0]}") from error


def _real(features: NDArray[np.int8], frontend: FrontendConfig) -> list[NDArray[np.float32]]:
    scale = np.float32(frontend.input_scale)
    windows = [((window.astype(np.float32) + 128) * scale)[np.newaxis, ..., np.newaxis] for window in features]
    # Both ends of the range, so that the calibrated scale is the front end's.
    ends = np.zeros_like(windows[0])
    ends[:, ::2] = 255 * scale
    return [*windows, ends]


def _finished(model: bytes, frontend: FrontendConfig) -> bytes:
    """Sets the input's scale exactly and drops names: kilobytes of flash that nothing reads."""
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    entry = graph.tensors[graph.inputs[0]].quantization
    scale, zero_point = float(entry.scale[0]), int(entry.zeroPoint[0])
    if abs(scale / frontend.input_scale - 1) > 1e-3 or zero_point != FEATURE_ZERO_POINT:
        expected = f"scale {frontend.input_scale:.6g}, zero point {FEATURE_ZERO_POINT}"
        raise QuantizationError(f"quantised input: expected {expected}, found {scale:.6g}, {zero_point}; this is a converter change")
    entry.scale = [np.float32(frontend.input_scale)]
    for tensor in graph.tensors:
        tensor.name = b""
        if tensor.quantization is not None:
            tensor.quantization.min = tensor.quantization.max = None
    tree.signatureDefs = None
    tree.description = b""
    return packed_model(tree)


def cost(model: bytes) -> tuple[int, int, float]:
    """Parameters, multiply-accumulates of a whole window, and of one input frame when streamed.

    Streamed, a convolution computes each output column once: its work for a window divided by its columns, at the rate its stride leaves.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    builtin = schema.BuiltinOperator
    kinds = {builtin.CONV_2D, builtin.DEPTHWISE_CONV_2D, builtin.FULLY_CONNECTED}
    parameters = whole = 0
    streamed, time_stride = 0.0, 1
    for operator in graph.operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind not in kinds:
            continue
        weights = graph.tensors[operator.inputs[1]].shape
        out = graph.tensors[operator.outputs[0]].shape
        size = int(np.prod(weights))
        parameters += size + int(np.prod(graph.tensors[operator.inputs[2]].shape))
        positions = int(np.prod(out[1:3])) if len(out) == 4 else 1
        macs = positions * size
        whole += macs
        if kind != builtin.FULLY_CONNECTED:
            time_stride *= int(operator.builtinOptions.strideH)
        columns = int(out[1]) if len(out) == 4 else 1
        streamed += macs / columns / time_stride
    return parameters, whole, streamed
