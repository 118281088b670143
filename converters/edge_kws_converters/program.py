"""The row program: layers that each make one row of one ring from rows of others. What the passes work on and the C writer prints.

A row is all that lies at one time: (width, channels) int8. A ring keeps the last rows of a tensor for as long as a layer needs them.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_kws_converters.kernel_row import Kernel

SHIFT_ANY, SHIFT_RIGHT, SHIFT_ONCE = range(3)
"""EKWS_SHIFT_ANY, _RIGHT and _ONCE of kernel.h: LiteRT rounds FULLY_CONNECTED once, everything else twice."""


@dataclass(slots=True, eq=False)
class Ring:
    """Rows of a tensor.

    Attributes:
        rows: rows made in one window.
        pad_before, pad_after: rows of `pad_value` before and after them.
        spacing: hops between its rows in the model as exported, 0 for a tensor of one row.
        slots, offset: found by the passes: rows kept at a time, and where in the arena.
        inside: its one row lies in the slot that this ring writes next.
    """

    name: str
    rows: int
    width: int
    channels: int
    pad_value: int = 0
    pad_before: int = 0
    pad_after: int = 0
    spacing: int = 1
    slots: int = 0
    offset: int = 0
    inside: "Ring | None" = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * self.channels

    @property
    def pitch(self) -> int:
        """Bytes from row to row: kernels may read whole words."""
        return -(-self.row_bytes // 4) * 4

    @property
    def bytes(self) -> int:
        """Bytes of the ring's own."""
        return 0 if self.inside else self.slots * self.pitch


@dataclass(slots=True, eq=False)
class Edge:
    """What a layer reads of a ring: `taps` rows `dilation` apart, the next time `stride` rows later, from row `begin` on.

    `begin` counts from the first padding row. `together`: each tap is so many rows side by side.
    """

    ring: Ring
    taps: int = 1
    dilation: int = 1
    stride: int = 1
    begin: int = 0
    together: int = 1

    @property
    def span(self) -> int:
        """Rows from the first to the last tap."""
        return (self.taps - 1) * self.dilation + self.together


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Requantisation of each output channel (n,): bias, Q31 multiplier, right shift."""

    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class ConvShape:
    """The fields of `ekws_conv_shape_t`, same names and meaning."""

    in_width: int
    in_channels: int
    out_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride_width: int
    dilation_width: int
    pad_left: int
    in_zero: int
    out_zero: int
    low: int
    high: int
    multiplies: int
    shifts: int

    @property
    def padded(self) -> bool:
        """Whether any tap lies outside the row."""
        reach = (self.out_width - 1) * self.stride_width - self.pad_left + (self.kernel_width - 1) * self.dilation_width
        return self.pad_left > 0 or reach >= self.in_width

    @property
    def macs(self) -> int:
        """Multiplications of one row."""
        inner = 1 if self.multiplies else self.in_channels
        return self.out_width * self.out_channels * self.kernel_height * self.kernel_width * inner


@dataclass(frozen=True, slots=True)
class Call:
    """A kernel that needs no writer of its own: `function`, in `header` of firmware/src/kernels.

    Its arguments: the layer's shape as a literal of `struct` (where it has one) and `literals`; a pointer to the row of each edge, or, with
    `taps`, an array of pointers to the rows of the one edge; the layer's constants; the row it writes.
    """

    header: str
    function: str
    struct: str = ""
    literals: tuple[int, ...] = ()
    taps: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Sliding:
    """A mean whose sums go on from output to output: rows that are new each time, and how many windows take turns."""

    fresh: int
    phases: int


@dataclass(slots=True, eq=False)
class Layer:
    """One operator of the row program.

    Attributes:
        kind: conv, depthwise, average_pool, copy, input, or what `call` names.
        edges: what it reads; `out`: what it writes, `rows` rows of it a window.
        shape: ConvShape, or the fields of the kernel's C struct.
        weights, channels: as read; kernel: for the core at hand.
        constants: arrays that the generated code hands to the kernel.
        accumulate: rows are summed one by one and make one output row together.
        sliding: of a mean in a stream.
        together, junk: rows made at a time, and how many of the first ones nobody reads (see fire_together.py).
        catches_up: makes as many rows in a tick as it can.
    """

    name: str
    kind: str
    edges: list[Edge]
    out: Ring
    shape: Any = None
    weights: NDArray[np.int8] | None = None
    channels: Channels | None = None
    kernel: "Kernel | None" = None
    call: Call | None = None
    constants: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    parts: list[Any] = field(default_factory=list[Any])
    accumulate: int = 0
    sliding: Sliding | None = None
    together: int = 1
    junk: int = 0
    catches_up: bool = False
    scratch: int = 0
    scratch_offset: int = 0

    @property
    def fires(self) -> int:
        """How often it runs in a whole window."""
        return self.accumulate or (self.out.rows + self.junk) // self.together

    @property
    def macs(self) -> int:
        """Multiplications of one output row."""
        return self.shape.macs // self.together if isinstance(self.shape, ConvShape) else 0


@dataclass(slots=True, eq=False)
class Program:
    """Layers in running order.

    `stride` is 0 for a whole window, else the hops between outputs of the streaming form; `has_state`: exported as a stream.
    """

    name: str
    layers: list[Layer]
    input: Ring
    output: Ring
    stride: int = 0
    arena_bytes: int = 0
    ticks: int = 0
    first: int = 0
    has_state: bool = False

    @property
    def rings(self) -> list[Ring]:
        """All rings, the input's first."""
        return [layer.out for layer in self.layers]

    @property
    def macs(self) -> int:
        """Multiplications of one whole window."""
        return sum(layer.macs * layer.out.rows for layer in self.layers)


def align(value: int, to: int) -> int:
    """The next multiple of `to`."""
    return math.ceil(value / to) * to
