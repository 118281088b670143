"""What each tensor of a graph holds in one step of its incremental form, and which of its past rows each reader takes.

The grid is streamify's: of a tensor with `spacing` hops between rows, a step of `stride` hops makes stride / gcd(stride, spacing) new rows.
The newest of them is the last row of the window that ends with the step.
"""

from dataclasses import dataclass, field
from math import gcd

from edge_kws_converters.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Take:
    """The rows a reader takes: `count` of them, `step` rows apart, the last one `lag` rows before the newest."""

    count: int
    lag: int
    step: int = 1

    @property
    def span(self) -> int:
        """Rows from the first to the last."""
        return (self.count - 1) * self.step + 1


@dataclass(slots=True)
class StepPlan:
    """`rows`: new rows a step, by tensor. `history`: older rows kept. `takes`: by (node index, input position).

    `windows`: (stride, dilation) in time of convolutions and pools on the new grid, by node index.
    """

    rows: dict[int, int] = field(default_factory=dict[int, int])
    history: dict[int, int] = field(default_factory=dict[int, int])
    takes: dict[tuple[int, int], Take] = field(default_factory=dict[tuple[int, int], Take])
    windows: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])


def plan_steps(graph: Graph, stride: int) -> StepPlan:
    """The plan of a graph that streamify accepts at this stride.

    Raises:
        ConversionError: a pool over several rows on a grid finer than its own; TFLite pools have no dilation.
    """
    plan = StepPlan()
    spacing: dict[int, int] = {graph.inputs[0]: 1}
    plan.rows[graph.inputs[0]] = stride
    for node in graph.nodes:
        for position, tensor in enumerate(node.inputs):
            if tensor in spacing:
                _plan_input(graph, node, position, spacing, stride, plan)
        for tensor in node.outputs:
            if any(i in spacing for i in node.inputs) and tensor not in spacing:
                spacing[tensor] = 0
            if tensor in spacing:
                plan.rows[tensor] = stride // gcd(stride, spacing[tensor])
    for (index, position), take in plan.takes.items():
        node = next(node for node in graph.nodes if node.index == index)
        tensor = node.inputs[position]
        older = take.span + take.lag - plan.rows[tensor]
        plan.history[tensor] = max(plan.history.get(tensor, 0), older)
    return plan


def _plan_input(graph: Graph, node: Node, position: int, spacing: dict[int, int], stride: int, plan: StepPlan) -> None:
    tensor, out = graph.tensors[node.inputs[position]], graph.tensors[node.outputs[0]]
    rows, out_rows = tensor.rows[0], out.rows[0]
    taps, every, dilation, last = _reach(graph, node, rows, out_rows)
    own = spacing[tensor.index]
    spacing_out = own * every if out_rows > 1 else 0
    for made in node.outputs:
        spacing[made] = spacing_out
    grid, out_grid = gcd(stride, own), gcd(stride, spacing_out)
    factor = own // grid if rows > 1 else 1
    made_rows = stride // out_grid
    lag = (rows - 1 - last) * factor
    if node.op in ("conv_2d", "depthwise_conv_2d"):
        count = (made_rows - 1) * (out_grid // grid) + (taps - 1) * dilation * factor + 1
        plan.windows[node.index] = out_grid // grid, dilation * factor
        plan.takes[node.index, position] = Take(count, lag)
        return
    if taps > 1 and made_rows > 1:
        if factor > 1:
            step = f"take an output every {own} hops or a multiple"
            raise graph.refuse(node, "rows that lie side by side", f"every {factor}th of them", step)
        plan.windows[node.index] = out_grid // grid, 1
        plan.takes[node.index, position] = Take((made_rows - 1) * (out_grid // grid) + taps, lag)
        return
    plan.takes[node.index, position] = Take(taps if taps > 1 else made_rows, lag, factor if taps > 1 else 1)


def _reach(graph: Graph, node: Node, rows: int, out_rows: int) -> tuple[int, int, int, int]:
    """(taps, stride, dilation, last input row of the last output row) of a node in time."""
    if node.window is not None:
        stride, dilation = node.window.stride[0], node.window.dilation[0]
        taps = node.window.kernel[0]
        if node.op in ("conv_2d", "depthwise_conv_2d"):
            taps = graph.tensors[node.inputs[1]].shape[1]
        return taps, stride, dilation, (out_rows - 1) * stride + (taps - 1) * dilation
    if node.op in ("strided_slice", "slice"):
        begin = int(graph.constant(node, 1).reshape(-1)[1]) if len(graph.constant(node, 1).reshape(-1)) > 1 else 0
        first = 0 if node.op == "strided_slice" and node.options["begin_mask"] >> 1 & 1 else begin % rows
        return 1, 1, 1, first + out_rows - 1
    if rows != out_rows and out_rows == 1:  # flattened, averaged or fed to a dense layer
        return rows, 1, 1, rows - 1
    return 1, 1, 1, rows - 1
