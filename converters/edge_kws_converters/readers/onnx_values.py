"""What a name of an ONNX graph stands for while it is read: a constant, or a tensor with its axes as the file and as memory order them."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Quantization, Window


class AxisOrderError(ConversionError):
    """An operator needs axes in another order than memory has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Atom:
    """A part of an axis that was never cut; axes of size 1 have none."""

    size: int


Axes = tuple[tuple[Atom, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxNode:
    """A node of the file."""

    index: int
    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]

    @property
    def where(self) -> str:
        """How errors name it."""
        name = self.outputs[0] if self.outputs else "no output"
        return f"operator {self.index} {self.op[:40]} ({name if len(name) <= 60 else f'...{name[-57:]}'})"

    def refuse(self, expected: str, found: str, step: str = "export the model without it") -> ConversionError:
        """The error for a node that cannot be read."""
        return ConversionError(f"{self.where}: expected {expected}, found {found[:160]}; {step}")

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise self.refuse(f"an integer {name}", f"{value!r}")
        return value

    def real(self, name: str, default: float) -> float:
        """A real attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, float) or not math.isfinite(value):
            raise self.refuse(f"a finite {name}", f"{value!r}")
        return value

    def listed(self, name: str, default: list[int]) -> list[int]:
        """An attribute of integers."""
        value = self.attributes.get(name, default)
        if not isinstance(value, list) or len(cast("list[int]", value)) > 16:
            raise self.refuse(f"up to 16 integers as {name}", f"{value!r}")
        return cast("list[int]", value)

    def integers(self, name: str, default: list[int]) -> list[int]:
        """An attribute of as many integers as `default`, each 0..4096."""
        values = self.listed(name, default)
        if len(values) != len(default) or not all(0 <= value <= 4096 for value in values):
            raise self.refuse(f"{len(default)} values 0..4096 of {name}", f"{values}")
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """`data` as in the file (uint8 shifted to int8); real = scale * (data - zero_point) where it is quantised."""

    data: NDArray[Any]
    quantization: Quantization | None = None

    def real(self) -> NDArray[np.float64]:
        """The real numbers."""
        q = self.quantization
        if q is None:
            return self.data.astype(np.float64)
        shape = [-1 if axis == q.axis and len(q.scales) > 1 else 1 for axis in range(self.data.ndim)]
        return (self.data.astype(np.float64) - q.zero_points.reshape(shape)) * q.scales.astype(np.float64).reshape(shape)


@dataclass(frozen=True, slots=True)
class Step:
    """A node that moves or selects numbers and so may run before or after quantisation."""

    index: int
    op: str
    name: str
    dims: tuple[int, ...]
    window: Window | None = None
    content: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A node that waits for the QuantizeLinear that gives its output a scale; `fixed`: it makes this one whatever follows."""

    node: OnnxNode
    op: str
    inputs: list[int]
    dims: tuple[int, ...]
    window: Window | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    low: float = -math.inf
    high: float = math.inf
    fixed: Quantization | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A computed tensor.

    `axes`: the atoms of each ONNX axis; `order`: the atoms as memory has them; `dims`: the shape of the tensor as stored;
    `tensor`: its index in the graph, or `pending`; `integer`: not dequantised yet.
    """

    axes: Axes
    order: tuple[Atom, ...]
    dims: tuple[int, ...]
    tensor: int = -1
    pending: Pending | None = None
    integer: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file."""
        return tuple(math.prod(atom.size for atom in axis) for axis in self.axes)

    def regrouped(self, node: OnnxNode, shape: tuple[int, ...]) -> "Value":
        """The same numbers under another ONNX shape."""
        if math.prod(shape) != math.prod(self.shape):
            raise node.refuse(f"{math.prod(self.shape)} elements", f"shape {shape}")
        left, order, axes = [atom for axis in self.axes for atom in axis], list(self.order), list[tuple[Atom, ...]]()
        for size in shape:
            axis: list[Atom] = []
            while size > 1:
                atom = left.pop(0)
                if atom.size > size:
                    if atom.size % size:
                        raise node.refuse("a shape that splits or joins axes", f"{self.shape} -> {shape}")
                    parts = Atom(size), Atom(atom.size // size)
                    at = order.index(atom)
                    order[at : at + 1] = parts
                    atom = parts[0]
                    left.insert(0, parts[1])
                if size % atom.size:
                    raise node.refuse("a shape that splits or joins axes", f"{self.shape} -> {shape}")
                size //= atom.size
                axis.append(atom)
            axes.append(tuple(axis))
        return replace(self, axes=tuple(axes), order=tuple(order))

    def layout(self) -> list[tuple[int, int]]:
        """(ONNX axis, size) of each atom as stored: equal for tensors that can be added element by element."""
        at = {atom: (number, atom.size) for number, axis in enumerate(self.axes) for atom in axis}
        return [at[atom] for atom in self.order]


def lay_out(shape: tuple[int, ...], order: tuple[int, ...]) -> tuple[Axes, tuple[Atom, ...]]:
    """New axes of an ONNX shape, stored in an order of axes."""
    axes = tuple((Atom(size),) if size > 1 else () for size in shape)
    return axes, tuple(atom for axis in order for atom in axes[axis])
