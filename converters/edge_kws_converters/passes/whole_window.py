"""Graph -> graph: a model that keeps its own state becomes the whole window that ends with its newest rows.

State is the past of a tensor, so a tensor with history is that tensor with more rows. From the output backwards, each tensor gets as
many rows as its readers need; a reader that needs fewer gets the newest of them. Once the streaming model has seen a whole window of
rows, both give the same bytes.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import ConversionError
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor

_MOVES = ("reshape", "expand_dims", "squeeze", "split", "split_v", "concatenation", "strided_slice")
_WINDOWED = ("conv_2d", "depthwise_conv_2d", "average_pool_2d", "max_pool_2d")
_WEIGHTED = ("conv_2d", "depthwise_conv_2d", "fully_connected")
_NAMELESS = ""


def whole_window(graph: Graph) -> Graph:
    """The whole-window form of a cleaned streaming graph, a new graph; its window is a multiple of the streaming form's rows a call.

    Raises:
        ConversionError: an operator through which time cannot be followed.
    """
    return _Unroller(graph).unroll()


def with_input_scale(graph: Graph, scale: float) -> None:
    """Gives the input another scale, in place; the weights that read it take the inverse, so that products stay what they are.

    Raises:
        ConversionError: something else than a convolution or a fully connected layer reads the input.
    """
    ratio = float(_quantization(graph.tensors[graph.inputs[0]]).scale) / scale
    scaled = set(graph.inputs)
    for node in graph.nodes:
        if not scaled.intersection(node.inputs):
            continue
        if node.op in _MOVES and (node.op != "concatenation" or scaled.issuperset(node.inputs)):
            scaled.update(node.outputs)
        elif node.op in _WEIGHTED:
            weights = graph.tensors[node.inputs[1]]
            found = _quantization(weights)
            scales = (found.scales.astype(np.float64) * ratio).astype(np.float32)
            graph.tensors.append(replace(weights, index=len(graph.tensors), quantization=replace(found, scales=scales)))
            node.inputs[1] = len(graph.tensors) - 1
        else:
            raise graph.refuse(node, "features read by convolutions or fully connected layers", node.op.upper())
    for index in scaled:
        tensor = graph.tensors[index]
        graph.tensors[index] = replace(tensor, quantization=replace(_quantization(tensor), scales=np.array([scale], np.float32)))


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None:
        raise ConversionError(f"tensor {tensor.index} ({tensor.name[:80]}): expected a scale, found none; quantise the model to full int8")
    return tensor.quantization


class _Unroller:
    def __init__(self, graph: Graph) -> None:
        self._old = graph
        self._new = Graph(graph.name, [], [], [], [])
        self._map: dict[int, int] = {}
        self._rows: dict[int, int] = {}
        self._timed = self._follow_time()

    def unroll(self) -> Graph:
        for node in reversed(self._old.nodes):
            if node.op in ("split", "split_v"):  # parts have the rows of the whole
                self._rows.update(dict.fromkeys(node.outputs, max(self._rows.get(tensor, 0) for tensor in node.outputs)))
            for position, tensor in enumerate(node.inputs):
                if tensor in self._timed:
                    self._rows[tensor] = max(self._rows.get(tensor, 0), self._needed(node, position))
        (source,) = self._old.inputs
        stride = self._old.tensors[source].shape[1]
        self._rows[source] = -(-self._rows[source] // stride) * stride
        self._new.inputs = [self._tensor(source)]
        for node in self._old.nodes:
            self._rewrite(node)
        self._new.outputs = [self._tensor(tensor) for tensor in self._old.outputs]
        return self._new

    def _follow_time(self) -> set[int]:
        """Tensors with time on axis 1."""
        timed = set(self._old.inputs)
        for node in self._old.nodes:
            found = timed.intersection(node.inputs)
            keeps = all(len(self._old.tensors[i].shape) >= 3 for i in node.outputs)
            if found and keeps and node.op not in ("mean", "fully_connected"):
                timed.update(node.outputs)
        return timed

    def _needed(self, node: Node, position: int) -> int:
        """Newest rows of an input that a node needs for the rows of its output."""
        streaming = self._old.tensors[node.inputs[position]].shape[1]
        if node.outputs[0] not in self._timed:
            return streaming
        rows = max(self._rows.get(tensor, 0) for tensor in node.outputs)
        if node.op in _WINDOWED:
            return (rows - 1) * self._stride(node) + self._kernel(node)
        if node.op == "strided_slice":
            return rows + self._lag(node)
        return rows

    def _stride(self, node: Node) -> int:
        assert node.window is not None
        return node.window.stride[0]

    def _kernel(self, node: Node) -> int:
        """Rows that one row of a convolution or pool spans."""
        assert node.window is not None
        height = node.window.kernel[0]
        if node.op in ("conv_2d", "depthwise_conv_2d"):
            height = self._old.tensors[node.inputs[1]].shape[1]
        if node.window.same and height > 1:
            raise self._old.refuse(node, "no padding in time", "SAME", "export its streaming form with VALID padding")
        return (height - 1) * node.window.dilation[0] + 1

    def _lag(self, node: Node) -> int:
        """Rows at the end of its input that a slice leaves out. Raises ConversionError for steps in time, or cut width or channels."""
        source, result = (self._old.tensors[i].shape for i in (node.inputs[0], node.outputs[0]))
        ends, strides = self._old.constant(node, 2), self._old.constant(node, 3)
        if len(source) != len(result) or source[2:] != result[2:] or (strides != 1).any():
            raise self._old.refuse(node, "a slice in time alone", f"{source} -> {result}")
        end = source[1] if node.options["end_mask"] >> 1 & 1 else int(ends[1])
        return 0 if end >= source[1] else source[1] - end if end >= 0 else -end

    def _rewrite(self, node: Node) -> None:
        if node.op in ("history", "strided_slice") and node.outputs[0] in self._timed:
            lag = self._lag(node) if node.op == "strided_slice" else 0
            self._map[node.outputs[0]] = self._take(node.inputs[0], self._rows[node.outputs[0]], lag)
            return
        inputs = [
            self._take(tensor, self._needed(node, position)) if tensor in self._timed else self._tensor(tensor)
            for position, tensor in enumerate(node.inputs)
        ]
        made = replace(node, index=len(self._new.nodes), inputs=inputs, outputs=[self._tensor(tensor) for tensor in node.outputs])
        if node.op in ("reshape", "expand_dims", "squeeze"):
            made.op = "reshape"
            made.inputs = [inputs[0], self._constant(np.array(self._new.tensors[made.outputs[0]].shape, np.int32))]
        self._new.nodes.append(made)

    def _take(self, tensor: int, rows: int, lag: int = 0) -> int:
        """The new tensor with `rows` rows, `lag` before the newest."""
        found = self._new.tensors[self._tensor(tensor)]
        end = found.shape[1] - lag
        begin = end - rows
        if (begin, end) == (0, found.shape[1]):
            return found.index
        rank = len(found.shape)
        bounds = [self._constant(np.array([0, value, *[0] * (rank - 2)], np.int32)) for value in (begin, end)]
        steps = self._constant(np.ones(rank, np.int32))
        result = self._add(replace(found, shape=(1, rows, *found.shape[2:])))
        mask = ((1 << rank) - 1) & ~2
        options = {"begin_mask": mask, "end_mask": mask, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0, "offset": 0}
        self._new.nodes.append(Node("strided_slice", len(self._new.nodes), [found.index, *bounds, steps], [result], options=options))
        return result

    def _tensor(self, tensor: int) -> int:
        """A tensor's place in the new graph."""
        if tensor < 0:
            return tensor
        if tensor not in self._map:
            found = self._old.tensors[tensor]
            shape = (found.shape[0], self._rows.get(tensor, found.shape[1]), *found.shape[2:]) if tensor in self._timed else found.shape
            self._map[tensor] = self._add(replace(found, shape=shape))
        return self._map[tensor]

    def _constant(self, values: NDArray[np.int32]) -> int:
        return self._add(Tensor(0, _NAMELESS, values.shape, "int32", None, values))

    def _add(self, tensor: Tensor) -> int:
        self._new.tensors.append(replace(tensor, index=len(self._new.tensors), name=_NAMELESS))
        return len(self._new.tensors) - 1
