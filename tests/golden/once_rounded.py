"""A QDQ model as ONNX defines it: real numbers between operators, each tensor rounded once, to nearest even, where the file quantises it.

The compiler's graph, as the ONNX reader makes it, is run in double precision. What it gives differs from ONNX Runtime only where
single precision crosses a rounding boundary, and from TFLite's kernels only by their fixed-point roundings.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws_converters.graph import Graph, Node, Quantization

Real = NDArray[np.float64]

_BOUNDS = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}


class OnceRounded:
    """Runs a graph of `read_onnx`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def layer(self, node: Node, inputs: list[NDArray[Any] | None]) -> Real:
        """What a node makes of int8 inputs (None: a constant), in steps of its output, not rounded, clipped to int8."""
        tensors = self._graph.tensors
        real = [None if x is None else _dequantised(x, tensors[i].quantization) for i, x in zip(node.inputs, inputs, strict=True)]
        q = tensors[node.outputs[0]].quantization
        assert q is not None
        return np.clip(np.clip(self._compute(node, real), *_BOUNDS[node.activation]) / q.scale + q.zero_point, -128, 127)

    def run(self, values: NDArray[np.int8]) -> NDArray[np.int64]:
        """The input, int8 in any shape of the right size -> the output's steps, flat."""
        graph = self._graph
        entry = graph.tensors[graph.inputs[0]]
        real = {entry.index: _dequantised(values.reshape(entry.shape), entry.quantization)}
        for node in graph.nodes:
            made = graph.tensors[node.outputs[0]]
            low, high = _BOUNDS[node.activation]
            result = np.clip(self._compute(node, [real.get(i) for i in node.inputs]), low, high).reshape(made.shape)
            # ONNX rounds no function by itself: TFLite's fixed scale is not in the file, the QuantizeLinear behind it is.
            fixed = node.op in ("softmax", "logistic", "tanh") and made.index not in graph.outputs
            real[made.index] = result if fixed else _rounded(result, made.quantization)
        output = graph.tensors[graph.outputs[0]].quantization
        assert output is not None
        return np.rint(real[graph.outputs[0]].reshape(-1) / np.float64(output.scale)).astype(np.int64) + output.zero_point

    def _constant(self, index: int) -> Real:
        tensor = self._graph.tensors[index]
        assert tensor.data is not None
        q = tensor.quantization
        if q is None:
            return tensor.data.astype(np.float64)
        shape = [-1 if axis == q.axis and len(q.scales) > 1 else 1 for axis in range(tensor.data.ndim)]
        return (tensor.data.astype(np.float64) - q.zero_points.reshape(shape)) * q.scales.astype(np.float64).reshape(shape)

    def _compute(self, node: Node, found: list[Real | None]) -> Real:
        inputs = [self._constant(index) if value is None else value for index, value in zip(node.inputs, found, strict=True)]
        x = inputs[0]
        match node.op:
            case "conv_2d":
                return np.einsum("nyxijc,oijc->nyxo", _windows(node, x, inputs[1].shape[1:3]), inputs[1]) + inputs[2]
            case "depthwise_conv_2d":
                repeated = np.repeat(x, inputs[1].shape[3] // x.shape[3], axis=3)
                bias = inputs[2] if len(inputs) > 2 else 0
                return np.einsum("nyxijc,ijc->nyxc", _windows(node, repeated, inputs[1].shape[1:3]), inputs[1][0]) + bias
            case "fully_connected":
                return x.reshape(1, -1) @ inputs[1].T + inputs[2]
            case "max_pool_2d":
                assert node.window is not None
                return _windows(node, x, node.window.kernel, -np.inf).max(axis=(3, 4))
            case "mean":
                return x.mean(axis=(1, 2))
            case "add":
                return x + inputs[1]
            case "sub":
                return x - inputs[1]
            case "mul":
                return x * inputs[1]
            case "pad":
                return np.pad(x, np.asarray(self._graph.tensors[node.inputs[1]].data))
            case "softmax":
                exps = np.exp(x - x.max(-1, keepdims=True))
                return exps / exps.sum(-1, keepdims=True)
            case "logistic":
                return 1 / (1 + np.exp(-x))
            case "tanh":
                return np.tanh(x)
            case "relu" | "relu6" | "relu_n1_to_1":
                return np.clip(x, *_BOUNDS[node.op])
            case "reshape" | "quantize":
                return x
            case _:
                raise AssertionError(node.op)


def _dequantised(values: NDArray[Any], q: Quantization | None) -> Real:
    assert q is not None
    return (values.astype(np.float64) - q.zero_point) * np.float64(q.scale)


def _rounded(real: Real, q: Quantization | None) -> Real:
    assert q is not None
    return (np.clip(np.rint(real / np.float64(q.scale)) + q.zero_point, -128, 127) - q.zero_point) * np.float64(q.scale)


def _windows(node: Node, x: Real, kernel: tuple[int, ...], fill: float = 0.0) -> Real:
    """(1, rows, width, channels) -> (1, out_rows, out_width, kernel_height, kernel_width, channels)."""
    window = node.window
    assert window is not None
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, window.dilation, strict=True)]
    if window.same:
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(x.shape[1:3], window.stride, spans, strict=True)]
        x = np.pad(x, [(0, 0), *[(t // 2, t - t // 2) for t in totals], (0, 0)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(1, 2))
    picked = view[:, :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]]
    return picked.transpose(0, 1, 2, 4, 5, 3)
