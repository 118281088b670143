"""Small ONNX models, quantised to QDQ form by ONNX Runtime, for the ONNX reader's tests."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


class FloatModel:
    """A chain of nodes, each reading the one before unless it names its inputs; weights are random."""

    def __init__(self, shape: Sequence[int], seed: int = 0) -> None:
        self._onnx: Any = pytest.importorskip("onnx")
        self.shape = list(shape)
        self._rng = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self.last = "x"

    def weights(self, *shape: int, scale: float | None = None) -> str:
        """A random constant: unit gain over all but its first axis."""
        gain = scale or 1 / np.sqrt(max(1, np.prod(shape[1:])))
        return self.constant((self._rng.normal(0, gain, shape)).astype(np.float32))

    def constant(self, values: Any) -> str:
        """A constant, numpy array or scalar."""
        name = f"c{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, op: str, *inputs: str, after: str | None = None, **attributes: Any) -> str:
        """Appends a node that reads `after` (the last one if None), then `inputs`; returns its output."""
        name = f"{op.lower()}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(op, [after or self.last, *inputs], [name], name=name, **attributes))
        self.last = name
        return name

    def proto(self) -> Any:
        """The float model."""
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [helper.make_tensor_value_info("x", float32, self.shape)], [helper.make_tensor_value_info(self.last, float32, None)]
        graph = helper.make_graph(self._nodes, "test", *ends, initializer=self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return self._onnx.shape_inference.infer_shapes(model)

    def quantised(self, folder: Path, *, per_channel: bool = True, unsigned: bool = False) -> bytes:
        """The QDQ model, calibrated with 8 random inputs."""
        quantization: Any = pytest.importorskip("onnxruntime.quantization")
        kind = quantization.QuantType.QUInt8 if unsigned else quantization.QuantType.QInt8
        folder.mkdir(parents=True, exist_ok=True)
        quantization.quantize_static(
            self.proto(),
            folder / "qdq.onnx",
            _Calibration(self.shape),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=kind,
            weight_type=quantization.QuantType.QInt8,
        )
        return (folder / "qdq.onnx").read_bytes()


class _Calibration:
    def __init__(self, shape: list[int]) -> None:
        rng = np.random.default_rng(7)
        self._inputs: Iterator[dict[str, Any]] = iter([{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(8)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def run_float(model: bytes, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ONNX Runtime makes of an input, each node as the file has it."""
    runtime: Any = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def ds_cnn() -> FloatModel:
    """A keyword model as PyTorch exports it: convolution with padding, depthwise and pointwise ones, mean, dense, softmax."""
    model = FloatModel((1, 1, 20, 10))
    model.add("Conv", model.weights(8, 1, 5, 4), model.weights(8, scale=0.1), pads=[0, 1, 0, 2], strides=[1, 2])
    model.add("Relu")
    model.add("Conv", model.weights(8, 1, 3, 3), model.weights(8, scale=0.1), group=8, pads=[0, 1, 0, 1])
    model.add("Relu")
    model.add("Conv", model.weights(12, 8, 1, 1), model.weights(12, scale=0.1))
    model.add("Clip", model.constant(np.float32(0)), model.constant(np.float32(6)))
    model.add("GlobalAveragePool")
    model.add("Flatten")
    model.add("Gemm", model.weights(4, 12), model.weights(4, scale=0.1), transB=1)
    model.add("Softmax", axis=-1)
    return model


def residual() -> FloatModel:
    """1-D convolutions over (1, channels, time), dilated and strided, with a sum of two branches, and a pool."""
    model = FloatModel((1, 10, 24))
    first = model.add("Conv", model.weights(6, 10, 3), model.weights(6, scale=0.1))
    first = model.add("Relu")
    model.add("Conv", model.weights(6, 1, 3), group=6, dilations=[2], pads=[2, 2])
    model.add("Add", first)
    model.add("Relu")
    model.add("MaxPool", kernel_shape=[2], strides=[2])
    model.add("AveragePool", kernel_shape=[3], strides=[2])
    model.add("Reshape", model.constant(np.array([1, -1], np.int64)))
    model.add("MatMul", model.weights(30, 5, scale=0.2))
    model.add("Add", model.weights(5, scale=0.1))
    return model


def transposed() -> FloatModel:
    """Time first at the input, channels first inside, and a Flatten of (channels, rows, width) into a dense layer."""
    model = FloatModel((1, 12, 8))
    model.add("Unsqueeze", model.constant(np.array([1], np.int64)))
    model.add("Conv", model.weights(4, 1, 3, 3), model.weights(4, scale=0.1), strides=[2, 2])
    model.add("Pad", model.constant(np.array([0, 0, 1, 0, 0, 0, 1, 0], np.int64)))
    model.add("Conv", model.weights(4, 4, 3, 1))
    model.add("Clip", model.constant(np.float32(-1)), model.constant(np.float32(1)))
    model.add("MaxPool", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])
    model.add("Flatten")
    model.add("Gemm", model.weights(5, 36), transB=1)
    model.add("Sigmoid")
    return model


MODELS = {"ds_cnn": ds_cnn, "residual": residual, "transposed": transposed}
