"""A pack whose right answers are known without training: its label `loud` fires when the features of the last 0.2 s are high."""

import numpy as np

from edge_kws.decoder import DecoderConfig
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import Golden, Pack
from tests.golden.tiny_model import _Net, schema, tiny_pack

WINDOW_FRAMES = 20
LABELS = ("_quiet_", "loud")
_EVEN = 110  # int8 steps above -128 of the mean feature at which both classes are equally likely


def loudness_pack(name: str = "loudness", frontend: FrontendConfig | None = None, min_consecutive: int = 2) -> Pack:
    """FULLY_CONNECTED over the whole window, then SOFTMAX; fires once at the beginning of a loud sound."""
    frontend = frontend or FrontendConfig()
    model = _loudness_model(frontend)
    windows = np.stack([np.full((WINDOW_FRAMES, frontend.mel_bins), value, np.int8) for value in (-128, -10, 60)])
    return tiny_pack(
        model,
        golden=Golden.record(model, windows),
        name=name,
        task="wake_word",
        labels=LABELS,
        frontend=frontend,
        decoder=DecoderConfig(thresholds=(None, 0.6), average_window=2, min_consecutive=min_consecutive, refractory_steps=40),
    )


def _loudness_model(frontend: FrontendConfig) -> bytes:
    inputs = WINDOW_FRAMES * frontend.mel_bins
    weight_scale = 1.0 / (frontend.input_scale * inputs * 127 * 10)  # ten int8 steps of the mean feature are one logit
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    net = _Net()
    source = net.tensor("features", [1, WINDOW_FRAMES, frontend.mel_bins], int8, frontend.input_scale, -128)
    weights = net.tensor("weights", [2, inputs], int8, weight_scale, 0, np.repeat(np.array([[-127], [127]], np.int8), inputs, axis=1))
    offset = np.array([127, -127], np.int32) * inputs * _EVEN
    bias = net.tensor("bias", [2], int32, weight_scale * frontend.input_scale, 0, offset)
    logits = net.tensor("logits", [1, 2], int8, 0.1, 0)
    operator, options = schema.BuiltinOperator.FULLY_CONNECTED, schema.FullyConnectedOptionsT()
    net.operator(operator, [source, weights, bias], logits, schema.BuiltinOptions.FullyConnectedOptions, options)
    result = net.tensor("posteriors", [1, 2], int8, 1 / 256, -128)
    net.softmax(logits, result)
    return net.finish(source, result, None)
