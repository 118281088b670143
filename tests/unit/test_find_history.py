"""State in resource variables becomes history rows; state of any other kind is refused by name."""

import numpy as np
import pytest

from edge_kws.errors import ConversionError
from edge_kws_converters.compiler import read_model
from edge_kws_converters.graph import Graph, Node, Quantization, Tensor
from edge_kws_converters.passes.find_history import find_history
from edge_kws_converters.writers.tflite_streaming import write_tflite_streaming
from tests.golden.tiny_model import tiny_model


def test_variables_of_a_streaming_model_become_history() -> None:
    graph = read_model(write_tflite_streaming(tiny_model(frames=20), 2))
    histories = [node for node in graph.nodes if node.op == "history"]
    assert [(len(node.inputs), node.options["value"]) for node in histories] == [(1, -128), (1, -128)]
    assert [node.options["rows"] for node in histories] == [3, 15]
    assert not {"var_handle", "read_variable", "assign_variable", "concatenation"} & {node.op for node in graph.nodes}


def _stateful(axis: int = 1, first: int = 2, initial: tuple[int, int] = (5, 5)) -> Graph:
    """Two rows of state before one new row; the rows from `first` on are kept."""
    q = Quantization(np.array([0.1], np.float32), np.zeros(1, np.int64))
    shapes = {"new": (1, 1, 4), "state": (1, 2, 4), "joined": (1, 3, 4), "kept": (1, 2, 4)}
    tensors = [Tensor(i, name, shape, "int8", q) for i, (name, shape) in enumerate(shapes.items())]
    tensors.append(Tensor(4, "handle", (), "resource"))
    for at in ([0, first - 1, 0], [1, first + 1, 4], [1, 1, 1]):
        values = np.array(at, np.int32)
        tensors.append(Tensor(len(tensors), "bounds", values.shape, "int32", data=values))
    nodes = [
        Node("var_handle", 0, [], [4], options={"name": "memory"}),
        Node("read_variable", 1, [4], [1]),
        Node("concatenation", 2, [1, 0], [2], options={"axis": axis}),
        Node("strided_slice", 3, [2, 5, 6, 7], [3]),
        Node("assign_variable", 4, [4, 3], []),
    ]
    return Graph("stateful", tensors, nodes, [0], [2], {"memory": np.repeat(np.array(initial, np.int8), 4).reshape(1, 2, 4)})


def test_rows_kept_from_step_to_step() -> None:
    graph = _stateful()
    find_history(graph)
    assert [(node.op, node.inputs, node.options) for node in graph.nodes if node.op == "history"] == [
        ("history", [0], {"rows": 2, "value": 5})
    ]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (_stateful(axis=2), "joined with new rows over time"),
        (_stateful(first=1), "the newest rows assigned"),
        (_stateful(initial=(5, 6)), "a variable that starts from one value, found 5..6"),
    ],
)
def test_other_state_is_refused(graph: Graph, expected: str) -> None:
    with pytest.raises(ConversionError, match=rf"operator 2 CONCATENATION \(joined\).*{expected}"):
        find_history(graph)
