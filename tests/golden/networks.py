"""Small int8 networks of the architectures that keyword spotters come from, built as flatbuffers with random weights."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.golden.operator_models import ACTIVATIONS, OperatorModel, options

_SPREAD: Final = 40
"""Steps of a standard deviation that layers are scaled for."""


class Network(OperatorModel):
    """Layers one after the other. `valid`: no padding in time, so that it streams; skip connections then drop the oldest rows."""

    def __init__(self, *, valid: bool, seed: int) -> None:
        super().__init__()
        self.valid = valid
        self._rng = np.random.default_rng(seed)

    def shape(self, tensor: int) -> list[int]:
        return list(self.tensors[tensor].shape)

    def scale(self, tensor: int) -> float:
        return float(self.tensors[tensor].quantization.scale[0])

    def _like(self, tensor: int, shape: Sequence[int], scale: float = 1.0, *, same: bool = False) -> int:
        """An activation scaled in proportion to another one."""
        zero = int(self.tensors[tensor].quantization.zeroPoint[0])
        return self.tensor(shape, self.scale(tensor) * scale, zero if same else int(self._rng.integers(-40, 40)))

    def _weights(self, shape: Sequence[int], axis: int, source: int) -> list[int]:
        """Weights and bias, scaled per channel so that sums are about as large as what is summed."""
        n = shape[axis]
        scales = self._rng.uniform(0.6, 1.4, n) / (73 * np.sqrt(np.prod(shape) / n))
        weights = self.tensor(shape, scales, 0, self._rng.integers(-127, 128, shape).astype(np.int8), axis=axis)
        bias = self.tensor((n,), scales * self.scale(source), 0, self._rng.integers(-2000, 2000, n).astype(np.int32))
        return [weights, bias]

    def _window(self, source: int, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int, int]:
        """The tensor to convolve, and the output's size; without padding in time, that of width is a PAD."""
        _, rows, width, channels = self.shape(source)
        if not self.valid:
            return source, -(-rows // stride[0]), -(-width // stride[1])
        out = -(-width // stride[1])
        wide = max(0, (out - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1 - width)
        if wide:
            padded = self._like(source, (1, rows, width + wide, channels), same=True)
            self.operator("PAD", [source, self.ints([[0, 0], [0, 0], [wide // 2, wide - wide // 2], [0, 0]])], [padded])
            source = padded
        return source, (rows - (kernel[0] - 1) * dilation[0] - 1) // stride[0] + 1, out

    def conv(
        self,
        source: int,
        channels: int = 0,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        activation: str = "none",
    ) -> int:
        """A convolution; without `channels` a depthwise one."""
        source, rows, width = self._window(source, kernel, stride, dilation)
        inner = self.shape(source)[3]
        size, axis = ((channels, *kernel, inner), 0) if channels else ((1, *kernel, inner), 3)
        constants, bounded = self._weights(size, axis, source), activation != "none"
        zero = -128 if bounded else int(self._rng.integers(-40, 40))
        result = self.tensor((1, rows, width, channels or inner), self.scale(source) * (0.6 if bounded else 1.0), zero)
        fields: dict[str, Any] = {"padding": int(self.valid), "strideH": stride[0], "strideW": stride[1]}
        fields |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1], "fusedActivationFunction": ACTIVATIONS[activation]}
        if channels:
            self.operator("CONV_2D", [source, *constants], [result], options("Conv2D", **fields))
        else:
            self.operator("DEPTHWISE_CONV_2D", [source, *constants], [result], options("DepthwiseConv2D", depthMultiplier=1, **fields))
        return result

    def _pair(self, name: str, a: int, b: int, scale: float, activation: str) -> int:
        result = self.tensor(self.shape(a), scale, int(self._rng.integers(-40, 40)))
        self.operator(name, [a, b], [result], options(name.title(), fusedActivationFunction=ACTIVATIONS[activation]))
        return result

    def add(self, a: int, b: int, activation: str = "none") -> int:
        """Their sum; `b` spreads where it is smaller."""
        return self._pair("ADD", a, b, 1.3 * max(self.scale(a), self.scale(b)), activation)

    def mul(self, a: int, b: int) -> int:
        return self._pair("MUL", a, b, self.scale(a) * self.scale(b) * _SPREAD, "none")

    def skip(self, older: int, newer: int) -> int:
        """What is left of `older` beside `newer`: its newest rows."""
        shape = self.shape(newer)
        dropped = self.shape(older)[1] - shape[1]
        if not dropped:
            return older
        cut = self._like(older, [1, shape[1], *self.shape(older)[2:]], same=True)
        bounds = [self.ints([0, dropped, 0, 0]), self.ints([0, 0, 0, 0]), self.ints([1, 1, 1, 1])]
        self.operator("STRIDED_SLICE", [older, *bounds], [cut], options("StridedSlice", beginMask=13, endMask=15))
        return cut

    def mean(self, source: int, axes: list[int], *, keep: bool = True) -> int:
        shape = [1 if axis in axes else size for axis, size in enumerate(self.shape(source))]
        result = self._like(source, shape if keep else [shape[0], shape[3]], 0.3)
        self.operator("MEAN", [source, self.ints(axes)], [result], options("Reducer", keepDims=keep))
        return result

    def function(self, name: str, source: int) -> int:
        """HARD_SWISH or LOGISTIC."""
        result = self.tensor(self.shape(source), 1 / 256, -128) if name == "LOGISTIC" else self._like(source, self.shape(source), 0.7)
        self.operator(name, [source], [result])
        return result

    def constant(self, shape: Sequence[int], values: NDArray[Any]) -> int:
        """Real values of a shape, quantised."""
        scale = float(np.abs(values).max()) / 127
        return self.tensor(shape, scale, 0, np.rint(np.broadcast_to(values, shape) / scale).astype(np.int8))

    def affine(self, source: int) -> int:
        """A scale and an offset for each bin and channel: batch normalisation of sub-bands."""
        _, _, width, channels = self.shape(source)
        size = (1, 1, width, channels)
        scaled = self._like(source, self.shape(source), 1.2)
        self.operator("MUL", [source, self.constant(size, self._rng.uniform(0.5, 1.5, size))], [scaled], options("Mul"))
        offset = self.constant(size, self._rng.normal(0, 20 * self.scale(source), size))
        return self._pair("ADD", scaled, offset, 1.2 * self.scale(scaled), "none")

    def hard_sigmoid(self, source: int) -> int:
        """relu6(x + 3) / 6, as exporters write it: x is first brought to the range in which that is no constant."""
        shape, small = self.shape(source), self.tensor(self.shape(source), 4 / 128, 0)
        self.operator("MUL", [source, self.constant((1, 1, 1, 1), np.array(1.5 / self.scale(source) / 80))], [small], options("Mul"))
        raised, gate = self.tensor(shape, 6 / 255, -128), self.tensor(shape, 1 / 255, -128)
        self.operator("ADD", [small, self.constant((1, 1, 1, 1), np.array(3.0))], [raised], options("Add", fusedActivationFunction=3))
        self.operator("MUL", [raised, self.constant((1, 1, 1, 1), np.array(1 / 6))], [gate], options("Mul"))
        return gate

    def squeeze_and_excite(self, source: int, axes: list[int]) -> int:
        channels = self.shape(source)[3]
        gate = self.conv(self.mean(source, axes), max(1, channels // 4), activation="relu")
        return self.mul(source, self.hard_sigmoid(self.conv(gate, channels)))

    def classify(self, source: int, classes: int) -> int:
        """Mean over time and bins, a 1 x 1 convolution, RESHAPE, SOFTMAX."""
        logits = self.conv(self.mean(source, [1, 2]), classes)
        flat, result = self._like(logits, (1, classes), same=True), self.tensor((1, classes), 1 / 256, -128)
        self.operator("RESHAPE", [logits, self.ints([1, classes])], [flat], options("Reshape", newShape=[1, classes]))
        self.operator("SOFTMAX", [flat], [result], options("Softmax", beta=0.02 / self.scale(flat)))
        return result


def _features(net: Network, frames: int, bins: int) -> int:
    return net.tensor((1, frames, bins, 1), 0.05, -5, name="features")


def mobilenet_v1(*, valid: bool = False) -> bytes:
    """Depthwise and pointwise convolutions with RELU6, one of them strided."""
    net = Network(valid=valid, seed=1)
    source = _features(net, 24, 10)
    x = net.conv(source, 8, (3, 3), (1, 2), activation="relu6")
    for channels, stride in ((12, (1, 1)), (16, (2, 2)), (16, (1, 1))):
        x = net.conv(net.conv(x, kernel=(3, 3), stride=stride, activation="relu6"), channels, activation="relu6")
    return net.finish(source, net.classify(x, 5))


def mobilenet_v2(*, valid: bool = False) -> bytes:
    """Inverted residuals: expansion, depthwise, linear projection, and a sum where nothing is strided."""
    net = Network(valid=valid, seed=2)
    source = _features(net, 24, 10)
    x = net.conv(source, 6, (3, 3), (1, 2), activation="relu6")
    for channels, stride in ((6, (1, 1)), (10, (2, 2)), (10, (1, 1)), (10, (1, 1))):
        wide = net.conv(x, 3 * net.shape(x)[3], activation="relu6")
        narrow = net.conv(net.conv(wide, kernel=(3, 3), stride=stride, activation="relu6"), channels)
        x = net.add(narrow, net.skip(x, narrow)) if stride == (1, 1) and channels == net.shape(x)[3] else narrow
    return net.finish(source, net.classify(x, 5))


def mobilenet_v3(*, valid: bool = False, axes: Sequence[int] = (1, 2)) -> bytes:
    """V2's blocks with hard-swish, and squeeze-and-excite over `axes`."""
    net = Network(valid=valid, seed=3)
    source = _features(net, 20, 10)
    x = net.function("HARD_SWISH", net.conv(source, 8, (3, 3), (1, 2)))
    for channels, stride in ((8, (1, 1)), (12, (2, 1)), (12, (1, 1))):
        wide = net.function("HARD_SWISH", net.conv(x, 2 * net.shape(x)[3]))
        deep = net.function("HARD_SWISH", net.conv(wide, kernel=(3, 3), stride=stride))
        narrow = net.conv(net.squeeze_and_excite(deep, list(axes)), channels)
        x = net.add(narrow, net.skip(x, narrow)) if stride == (1, 1) and channels == net.shape(x)[3] else narrow
    return net.finish(source, net.classify(x, 5))


def bc_resnet(*, valid: bool = False) -> bytes:
    """Broadcasted residuals: features of bins and, averaged over bins, of time, dilated, that are added to every bin."""
    net = Network(valid=valid, seed=4)
    source = _features(net, 26, 12)
    x = net.conv(source, 8, (5, 5), (1, 2), activation="relu")
    for channels, stride, dilation in ((8, 1, 1), (12, 2, 2), (12, 1, 2)):
        entry = net.conv(x, channels, activation="relu") if channels != net.shape(x)[3] else x
        bins = net.affine(net.conv(entry, kernel=(1, 3), stride=(1, stride)))
        time = net.conv(net.mean(bins, [2]), kernel=(3, 1), dilation=(dilation, 1))
        swish = net.mul(time, net.function("LOGISTIC", time))
        broadcast = net.conv(swish, channels)
        x = net.add(net.skip(bins, broadcast), broadcast, "none" if entry is x else "relu")
        if entry is not x and channels == net.shape(entry)[3] and net.shape(x)[2] == net.shape(entry)[2]:
            x = net.add(x, net.skip(entry, x), "relu")
    return net.finish(source, net.classify(x, 6))


NETWORKS: Final[dict[str, Callable[..., bytes]]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3": mobilenet_v3,
    "bc_resnet": bc_resnet,
}
"""By name; each takes `valid`."""
