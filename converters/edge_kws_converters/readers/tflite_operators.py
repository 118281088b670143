"""The operators that are read: one row each, with the layout of its option table."""

import struct
from collections.abc import Callable
from typing import Any

from edge_kws.errors import ConversionError
from edge_kws.pack_flatbuffer import Table
from edge_kws_converters.graph import Activation, Node, Window

_ACTIVATIONS: dict[int, Activation] = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}


class _Options:
    """An option table, or an absent one: then every field has its default."""

    def __init__(self, table: Table | None, index: int) -> None:
        self._table, self._index = table, index

    def integer(self, field: int, default: int = 0) -> int:
        return default if self._table is None else self._table.integer(field, "<i", default)

    def small(self, field: int) -> int:
        return 0 if self._table is None else self._table.integer(field, "<b")

    def real(self, field: int) -> float:
        return 0.0 if self._table is None else struct.unpack("<f", struct.pack("<I", self._table.integer(field)))[0]

    def text(self, field: int) -> str:
        return "" if self._table is None else self._table.payload(field, limit=1024).decode("utf-8", "replace")

    def activation(self, field: int) -> Activation:
        code = self.small(field)
        if code not in _ACTIVATIONS:
            raise ConversionError(f"operator {self._index}: expected a fused activation 0..3, found {code}; export the model without it")
        return _ACTIVATIONS[code]

    def window(self, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> Window:
        window = Window(kernel, (self.integer(2), self.integer(1)), dilation, same=self.small(0) == 0)
        sizes = (*window.kernel, *window.stride, *window.dilation)
        if any(not 0 <= size <= 4096 for size in sizes) or 0 in (*window.stride, *window.dilation):
            raise ConversionError(f"operator {self._index}: expected kernel, strides and dilations 1..4096, found {sizes}")
        return window


_Reader = Callable[[Node, _Options], None]


def _conv(node: Node, options: _Options) -> None:
    node.window = options.window((0, 0), (options.integer(5, 1), options.integer(4, 1)))
    node.activation = options.activation(3)


def _depthwise(node: Node, options: _Options) -> None:
    node.window = options.window((0, 0), (options.integer(6, 1), options.integer(5, 1)))
    node.activation = options.activation(4)


def _pool(node: Node, options: _Options) -> None:
    node.window = options.window((options.integer(4), options.integer(3)))
    node.activation = options.activation(5)


def _fused(node: Node, options: _Options) -> None:
    node.activation = options.activation(0)


def _concatenation(node: Node, options: _Options) -> None:
    node.options["axis"] = options.integer(0)
    node.activation = options.activation(1)


def _plain(node: Node, options: _Options) -> None:
    del node, options


def _with(**fields: Callable[[_Options], Any]) -> _Reader:
    def read(node: Node, options: _Options) -> None:
        node.options.update({name: field(options) for name, field in fields.items()})

    return read


def _strided_slice(node: Node, options: _Options) -> None:
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")
    node.options.update({name: options.small(i) if name == "offset" else options.integer(i) for i, name in enumerate(names)})


OPERATORS: dict[int, tuple[str, _Reader]] = {
    0: ("add", _fused),
    1: ("average_pool_2d", _pool),
    2: ("concatenation", _concatenation),
    3: ("conv_2d", _conv),
    4: ("depthwise_conv_2d", _depthwise),
    6: ("dequantize", _plain),
    9: ("fully_connected", _fused),
    14: ("logistic", _plain),
    17: ("max_pool_2d", _pool),
    18: ("mul", _fused),
    19: ("relu", _plain),
    20: ("relu_n1_to_1", _plain),
    21: ("relu6", _plain),
    22: ("reshape", _plain),
    25: ("softmax", _with(beta=lambda options: options.real(0))),
    28: ("tanh", _plain),
    34: ("pad", _plain),
    39: ("transpose", _plain),
    40: ("mean", _with(keep_dims=lambda options: options.small(0) != 0)),
    41: ("sub", _fused),
    43: ("squeeze", _plain),
    45: ("strided_slice", _strided_slice),
    49: ("split", _plain),
    54: ("prelu", _plain),
    55: ("maximum", _plain),
    57: ("minimum", _plain),
    65: ("slice", _plain),
    70: ("expand_dims", _plain),
    98: ("leaky_relu", _with(alpha=lambda options: options.real(0))),
    102: ("split_v", _plain),
    114: ("quantize", _plain),
    117: ("hard_swish", _plain),
    129: ("call_once", _with(subgraph=lambda options: options.integer(0))),
    142: ("var_handle", _with(name=lambda options: f"{options.text(0)}/{options.text(1)}")),
    143: ("read_variable", _plain),
    144: ("assign_variable", _plain),
}
"""TFLite builtin code -> (name, reader of its options)."""


def read_operator(code: int, index: int, inputs: list[int], outputs: list[int], options: Table | None) -> Node:
    """One operator of the file as a node. Raises ConversionError for options that no kernel has."""
    name, read = OPERATORS[code]
    node = Node(name, index, inputs, outputs)
    read(node, _Options(options, index))
    return node
