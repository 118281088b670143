"""Networks of the architectures that keyword spotters come from, bit for bit: whole windows, and streams where they are VALID in time."""

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_kws.errors import ConversionError
from edge_kws_boards.measure import measure_model
from edge_kws_converters.compiler import compile_model, make_program, read_model
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.reference import Reference
from tests.firmware.test_boards import installed
from tests.golden.compiled import STRICT, check_stream, check_whole
from tests.golden.networks import NETWORKS, bc_resnet, mobilenet_v3

ROOT = Path(__file__).resolve().parents[2]

# Over bins alone squeeze-and-excite has all it needs in every column.
STREAMED = {**NETWORKS, "mobilenet_v3": partial(mobilenet_v3, axes=[2])}


@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_windows(name: str, valid: bool, tmp_path: Path) -> None:
    check_whole(NETWORKS[name](valid=valid), tmp_path)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("name", STREAMED)
def test_streams(name: str, stride: int, tmp_path: Path) -> None:
    model = STREAMED[name](valid=True)
    ring = make_program(model).input
    check_stream(model, tmp_path, stride, feature_rows(ring.rows + 9 * stride, ring.row_bytes))


def test_squeeze_and_excite_over_time_is_no_stream() -> None:
    with pytest.raises(ConversionError, match=r"operator 14 MUL \(\S+\): cannot be streamed exactly, because .*squeeze and excite"):
        make_program(mobilenet_v3(valid=True), stride=1)


@pytest.mark.parametrize("core", ["host", "cortex-m0plus"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_generated_c_is_strict_when_optimised(name: str, core: str, tmp_path: Path) -> None:
    """Both compilers warn of other things, and of more when they optimise."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    for index, (model, stride) in enumerate([(bc_resnet(valid=True), 1), (bc_resnet(valid=True), None), (mobilenet_v3(), None)]):
        made = compile_model(model, core=core, stride=stride)
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "model.c").write_text(made.source)
        (folder / "model.h").write_text(made.header)
        built = subprocess.run([name, *STRICT, "-O2", "-c", "model.c"], cwd=folder, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr[:4000]


@pytest.mark.parametrize("name", ["m0plus", "m3", "m4", "m7", "m33", "m55", "rv32"])
def test_boards(name: str, tmp_path: Path) -> None:
    """A stream with running sums on seven cores, and a whole window with squeeze-and-excite."""
    board = installed(name)
    for model, stride in ((bc_resnet(valid=True), 1), (mobilenet_v3(), None)):
        compiled, reference = compile_model(model, core=board.core, stride=stride, c_name="measured"), Reference(model, read_model(model))
        ring = compiled.program.input
        rows = feature_rows(ring.rows + 6, ring.row_bytes) if stride else feature_rows(2 * ring.rows, ring.row_bytes).reshape(2, -1)
        assert measure_model(board, compiled, reference, rows, tmp_path / str(stride), root=ROOT).bit_exact


def _bc_resnet(keras: Any) -> Any:
    """As the paper draws it, in two stages: SAME in time, swish, sub-band normalisation."""
    layers = keras.layers
    source = keras.Input(batch_shape=(1, 40, 20, 1))
    x = layers.Conv2D(8, 5, (1, 2), "same", use_bias=False)(source)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for channels, stride, dilation in ((8, 1, 1), (12, 2, 2)):
        entry = x if channels == x.shape[3] else layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, 1)(x)))
        bins = layers.DepthwiseConv2D((1, 3), (1, stride) if stride == 1 else (stride, stride), "same")(entry)
        bins = layers.BatchNormalization()(bins)
        time = layers.AveragePooling2D((1, bins.shape[2]))(bins)
        time = layers.DepthwiseConv2D((3, 1), padding="same", dilation_rate=(dilation, 1))(time)
        time = layers.Activation("swish")(layers.BatchNormalization()(time))
        x = layers.Add()([bins, layers.Conv2D(channels, 1)(time)])
        x = layers.ReLU()(layers.Add()([x, entry]) if entry.shape == x.shape else x)
    x = layers.Conv2D(12, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(source, layers.Softmax()(layers.Flatten()(x)))


def _keras_model(keras: Any, name: str) -> Any:
    settings = {"weights": None, "classes": 6, "alpha": 0.25}
    source = keras.Input(batch_shape=(1, 48, 40, 1))
    match name:
        case "mobilenet_v1":
            return keras.applications.MobileNet(input_tensor=source, **settings)
        case "mobilenet_v2":
            return keras.applications.MobileNetV2(input_tensor=source, **settings)
        case "mobilenet_v3":
            return keras.applications.MobileNetV3Small(input_tensor=source, include_preprocessing=False, **settings)
        case _:
            return _bc_resnet(keras)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_keras_models(name: str, tmp_path: Path) -> None:
    """Complete networks as Keras has them and TensorFlow's converter writes them."""
    tensorflow: Any = pytest.importorskip("tensorflow")
    keras: Any = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    model = _keras_model(keras, name)
    rng = np.random.default_rng(0)
    windows = rng.normal(0, 1, (16, *model.input_shape[1:])).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.6, 1.8, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    program = check_whole(converter.convert(), tmp_path)
    assert program.output.row_bytes == model.output_shape[1]
