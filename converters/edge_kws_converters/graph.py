"""The graph as read from a model file: tensors, nodes, and the order in which they run. The only form between readers and passes."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError

Activation = Literal["none", "relu", "relu_n1_to_1", "relu6"]


@dataclass(frozen=True, slots=True)
class Quantization:
    """real = scale * (q - zero_point); `scales` (1) per tensor, or (n) per channel along `axis`."""

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int = 0

    @property
    def scale(self) -> np.float32:
        """The scale of a per-tensor quantisation."""
        return np.float32(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantisation."""
        return int(self.zero_points[0])

    def clamp(self, activation: Activation) -> tuple[int, int]:
        """The int8 range that a fused activation leaves of a per-tensor quantisation."""

        def level(real: float) -> int:
            with np.errstate(over="ignore"):
                ratio = float(np.clip(np.float32(real) / self.scale, -1e9, 1e9))
            return self.zero_point + math.floor(abs(ratio) + 0.5) * (1 if ratio >= 0 else -1)

        low, high = {"none": (None, None), "relu": (0.0, None), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}[activation]
        return max(-128, -128 if low is None else level(low)), min(127, 127 if high is None else level(high))


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor; `data` holds the content of a constant."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: NDArray[Any] | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def rows(self) -> tuple[int, int, int]:
        """(rows, width, channels): NHWC without the batch; a flat tensor is one row of one pixel, (1, T, n) is T rows."""
        shape = self.shape
        if (len(shape) > 1 and shape[0] != 1) or len(shape) > 4:
            raise ConversionError(
                f"tensor {self.index} ({self.name}): expected batch 1 and at most 4 dimensions, found {shape}; export it so"
            )
        tail = shape[1:] if len(shape) > 1 else shape
        if len(tail) == 3:
            return tail[0], tail[1], tail[2]
        if len(tail) == 2:
            return tail[0], tail[1], 1
        return 1, 1, math.prod(tail)


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution or pool moves over (rows, width); `same` pads as TensorFlow does, after `pads` (top, bottom, left, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    same: bool = False
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(slots=True, eq=False)
class Node:
    """An operator: `op` is its TFLite name in lower case, `index` its place in the file (errors name it)."""

    op: str
    index: int
    inputs: list[int]
    outputs: list[int]
    window: Window | None = None
    activation: Activation = "none"
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, eq=False)
class Graph:
    """Nodes in running order; `variables` maps resource names to the constant they start from."""

    name: str
    tensors: list[Tensor]
    nodes: list[Node]
    inputs: list[int]
    outputs: list[int]
    variables: dict[str, NDArray[np.int8]] = field(default_factory=dict[str, NDArray[np.int8]])

    def where(self, node: Node) -> str:
        """How errors name a node: operator, index, and the tensor it makes."""
        made = self.tensors[node.outputs[0]] if node.outputs else None
        name = (made.name or f"tensor {made.index}") if made else "no output"
        return f"operator {node.index} {node.op.upper()} ({name if len(name) <= 60 else f'...{name[-57:]}'})"

    def refuse(self, node: Node, expected: str, found: str, step: str = "export the model without it") -> ConversionError:
        """The error for a node that cannot be compiled."""
        return ConversionError(f"{self.where(node)}: expected {expected}, found {found}; {step}")

    def quantized(self, node: Node, tensor: int) -> Tensor:
        """An int8 activation or weight tensor of a node. Raises ConversionError where it is none."""
        found = self.tensors[tensor]
        if found.dtype != "int8" or found.quantization is None:
            raise self.refuse(node, "int8 tensors with scale and zero point", f"{found.dtype} in {found.name}", "quantise to full int8")
        return found

    def quantization(self, node: Node, tensor: int) -> Quantization:
        """Scale and zero point of a node's int8 tensor. Raises ConversionError where it has none, or a scale of 0."""
        found = self.quantized(node, tensor).quantization
        assert found is not None
        if not found.scale > 0:
            raise self.refuse(node, "a scale above 0", f"{found.scale}", "quantise again")
        return found

    def constant(self, node: Node, position: int) -> NDArray[Any]:
        """The content of a node's constant input. Raises ConversionError where it is computed."""
        if position >= len(node.inputs) or node.inputs[position] < 0:
            raise self.refuse(node, f"a constant input {position}", "none")
        data = self.tensors[node.inputs[position]].data
        if data is None:
            raise self.refuse(node, f"a constant input {position}", f"a computed one ({self.tensors[node.inputs[position]].name})")
        return data
