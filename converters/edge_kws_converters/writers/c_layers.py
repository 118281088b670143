"""The C of each layer: its constants, the kernel instance it shares with layers of the same shape, and the function that runs it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from edge_kws_converters.kernels import Kernel, choose_plain
from edge_kws_converters.program import ConvShape, Edge, Layer, Program, Ring
from edge_kws_converters.writers.c_text import array, comment, fields

_ROWS = "rows"


@dataclass(slots=True)
class Emission:
    """What has been printed so far, and how to reach rings and edges."""

    program: Program
    core: str
    kernels: dict[int, Kernel]
    constants: list[str] = field(default_factory=list[str])
    instances: dict[str, str] = field(default_factory=dict[str, str])
    bodies: list[str] = field(default_factory=list[str])
    headers: set[str] = field(default_factory=set[str])
    edges: list[Edge] = field(default_factory=list[Edge])

    def index(self, layer: Layer) -> int:
        """The layer's number in the generated code."""
        return next(i for i, other in enumerate(self.program.layers) if other is layer)

    def edge(self, edge: Edge) -> int:
        """The edge's number in the generated code."""
        return next(i for i, other in enumerate(self.edges) if other is edge)

    def ring(self, ring: Ring) -> int:
        """The ring's number: that of the layer that makes it."""
        return next(i for i, layer in enumerate(self.program.layers) if layer.out is ring)

    def instance(self, prefix: str, signature: str, body: str) -> str:
        """The name of a function of this text; equal texts share one."""
        key = f"{signature}\n{body}"
        if key not in self.instances:
            self.instances[key] = f"{prefix}_{sum(name.startswith(prefix + '_') for name in self.instances.values())}"
        return self.instances[key]

    def one_row(self, edge: Edge) -> str:
        """An expression for the one row an edge reads."""
        ring = edge.ring
        slot = "" if ring.slots == 1 else f" + s->read[{self.edge(edge)}] * {ring.pitch}"
        return f"ARENA({ring.offset}){slot}"

    def take_rows(self, edge: Edge) -> str:
        """Statements that fill `rows` with pointers to an edge's taps."""
        ring = edge.ring
        if edge.taps == 1:
            return f"  const int8_t *rows[1] = {{{self.one_row(edge)}}};\n"
        at = "0" if ring.slots == 1 else f"s->read[{self.edge(edge)}]"
        call = f"ekws_rows(ARENA({ring.offset}), {ring.pitch}, {ring.slots}, {at}, {edge.dilation % ring.slots}, {edge.taps}, rows);"
        return f"  const int8_t *rows[{edge.taps}];\n  {call}\n"

    def target(self, layer: Layer) -> str:
        """An expression for the row a layer writes."""
        ring = layer.out
        if ring is self.program.output:
            return "output" if ring.rows == 1 else f"output + s->made[{self.index(layer)}] * {ring.row_bytes}"
        slot = "" if ring.slots == 1 else f" + s->write[{self.ring(ring)}] * {ring.pitch}"
        return f"ARENA({ring.offset}){slot}"


def _conv(emission: Emission, layer: Layer) -> str:
    kernel, shape, n = emission.kernels[id(layer)], layer.shape, emission.index(layer)
    assert isinstance(shape, ConvShape)
    assert layer.weights is not None
    assert layer.channels is not None
    emission.headers.add(kernel.header)
    packed = kernel.pack(layer.weights, layer.channels, shape)
    parts = {
        "weights": lambda: array("int8_t", f"weights_{n}", packed, 16),
        "bias": lambda: array("int32_t", f"bias_{n}", layer.channels.bias) if layer.channels else "",
        "multiplier": lambda: array("int32_t", f"multiplier_{n}", layer.channels.multiplier) if layer.channels else "",
        "shift": lambda: array("int8_t", f"shift_{n}", layer.channels.shift) if layer.channels else "",
    }
    emission.constants += [make() for name, make in parts.items() if name in kernel.uses]
    members = ", ".join(f"{name}_{n}" if name in kernel.uses else "NULL" for name in parts)
    emission.constants.append(f"static const ekws_weights_t layer_{n}_weights = {{{members}}};\n")
    body = f"  {kernel.function}((ekws_conv_shape_t){{{fields(asdict(shape))}}}, rows, w, scratch, out);\n"
    signature = "(const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out)"
    name = emission.instance(layer.kind, signature, body)
    scratch = f"ARENA({layer.scratch_offset})" if layer.scratch else "NULL"
    return emission.take_rows(layer.edges[0]) + f"  {name}(rows, &layer_{n}_weights, {scratch}, {emission.target(layer)});\n"


def _pool(emission: Emission, layer: Layer) -> str:
    emission.headers.add("pool_s8.h")
    shape = f"(ekws_pool_shape_t){{{fields(layer.shape)}}}"
    if layer.accumulate:
        n, sums = emission.index(layer), f"(int32_t *)(void *)ARENA({layer.scratch_offset})"
        kernel = choose_plain("sum_row", layer.shape, emission.core)
        emission.headers.add(kernel.header)
        add = emission.instance("sum", "(const int8_t *row, int32_t *sums)", f"  {kernel.function}({shape}, row, sums);\n")
        finish = emission.instance(
            "sum", "(const int32_t *sums, int8_t *out)", f"  ekws_sum_finish_s8({shape}, sums, {layer.accumulate}, out);\n"
        )
        text = f"  int32_t *sums = {sums};\n  if (s->made[{n}] == 0) {{\n    memset(sums, 0, {layer.scratch});\n  }}\n"
        text += f"  {add}({emission.one_row(layer.edges[0])}, sums);\n"
        return text + f"  if (s->made[{n}] == {layer.accumulate - 1}) {{\n    {finish}(sums, {emission.target(layer)});\n@WROTE@  }}\n"
    function = "ekws_average_pool_s8"
    if layer.kind == "max_pool":
        kernel = choose_plain("max_pool", layer.shape, emission.core)
        emission.headers.add(kernel.header)
        function = kernel.function
    body = f"  {function}({shape}, rows, out);\n"
    name = emission.instance(layer.kind, "(const int8_t *const *rows, int8_t *out)", body)
    return emission.take_rows(layer.edges[0]) + f"  {name}(rows, {emission.target(layer)});\n"


def _elementwise(emission: Emission, layer: Layer) -> str:
    sign = {"add": "1, ", "sub": "-1, ", "mul": ""}[layer.kind]
    header, function = "elementwise_s8.h", "ekws_mul_s8"
    if layer.kind != "mul":
        kernel = choose_plain("add", layer.shape, emission.core)
        header, function = kernel.header, kernel.function
    emission.headers.add(header)
    body = f"  {function}((ekws_elementwise_shape_t){{{fields(layer.shape)}}}, {sign}a, b, out);\n"
    name = emission.instance(layer.kind, "(const int8_t *a, const int8_t *b, int8_t *out)", body)
    operands = [emission.one_row(edge) for edge in layer.edges]
    if layer.table is not None:
        operands.append(f"operand_{emission.index(layer)}")
        emission.constants.append(array("int8_t", operands[-1], layer.table, 4))
    return f"  {name}({', '.join(operands)}, {emission.target(layer)});\n"


def _table(emission: Emission, layer: Layer) -> str:
    emission.headers.add("elementwise_s8.h")
    assert layer.table is not None
    name = f"table_{emission.index(layer)}"
    emission.constants.append(array("int8_t", name, layer.table))
    return f"  ekws_table_s8({name}, {emission.one_row(layer.edges[0])}, {layer.out.row_bytes}, {emission.target(layer)});\n"


def _softmax(emission: Emission, layer: Layer) -> str:
    emission.headers.add("softmax_s8.h")
    assert layer.table is not None
    name = f"exps_{emission.index(layer)}"
    emission.constants.append(array("int32_t", name, layer.table))
    width, channels = layer.shape
    row, target = emission.one_row(layer.edges[0]), emission.target(layer)
    return f"  ekws_softmax_s8({name}, {layer.table.size}, {width}, {channels}, {row}, {target});\n"


def _copy(emission: Emission, layer: Layer) -> str:
    emission.headers.add("elementwise_s8.h")
    text = f"  int8_t *out = {emission.target(layer)};\n"
    if layer.shape is not None:
        text += f"  memset(out, {layer.shape}, {layer.out.row_bytes});\n"
    for edge, (start, in_pitch, width, size, at, pitch) in zip(layer.edges, layer.parts, strict=True):
        row = emission.one_row(edge)
        if width == 1:
            text += f"  memcpy(out + {at}, {row} + {start}, {size});\n"
        else:
            text += f"  ekws_copy_s8({row} + {start}, {in_pitch}, {width}, {size}, out + {at}, {pitch});\n"
    return text


def _input(emission: Emission, layer: Layer) -> str:
    ring = layer.out
    if layer.shape:  # the window is stored column by column
        index = f"window[(x * {ring.rows} + s->made[0]) * {ring.channels}]"
        copy = f"    memcpy(out + x * {ring.channels}, &{index}, {ring.channels});\n"
        return f"  int8_t *out = {emission.target(layer)};\n  for (int32_t x = 0; x < {ring.width}; x++) {{\n{copy}  }}\n"
    return f"  memcpy({emission.target(layer)}, window, {ring.row_bytes});\n"


_LAYERS: dict[str, Callable[[Emission, Layer], str]] = {
    "add": _elementwise,
    "average_pool": _pool,
    "conv": _conv,
    "copy": _copy,
    "depthwise": _conv,
    "input": _input,
    "max_pool": _pool,
    "mul": _elementwise,
    "softmax": _softmax,
    "sub": _elementwise,
    "table": _table,
}


def layer_function(emission: Emission, layer: Layer) -> str:
    """`layer_<n>`: runs the kernel once, then moves the positions of what it read and wrote."""
    n, ring = emission.index(layer), layer.out
    body = _LAYERS[layer.kind](emission, layer)
    wrote = written(emission, layer)
    if "@WROTE@" in body:
        body = body.replace("@WROTE@", "".join(f"  {line}\n" for line in wrote.splitlines()))
    else:
        body += wrote
    for edge in layer.edges:
        e = emission.edge(edge)
        if edge.ring.slots > 1 and edge.stride % edge.ring.slots:
            body += f"  s->read[{e}] = ekws_next(s->read[{e}], {edge.stride % edge.ring.slots}, {edge.ring.slots});\n"
        if edge.stride:
            body += f"  s->wait[{e}] = (ekws_wait_t)(s->wait[{e}] + {edge.stride});\n"
    arguments = "ekws_state_t *s"
    if layer.kind == "input":
        arguments += ", const int8_t *window"
    if ring is emission.program.output:
        arguments += ", int8_t *output"
    title = f"/* {comment(layer.name)}: rows of {ring.width} x {ring.channels}. */"
    return f"{title}\nstatic void layer_{n}({arguments}) {{\n{body}}}\n"


def written(emission: Emission, layer: Layer) -> str:
    """Statements after a row was written: the ring moves on, its readers wait for one row less."""
    ring, n = layer.out, emission.index(layer)
    text = f"  s->write[{n}] = ekws_next(s->write[{n}], 1, {ring.slots});\n" if ring.slots > 1 else ""
    for i, edge in enumerate(emission.edges):
        if edge.ring is ring:
            text += f"  s->wait[{i}]--;\n"
    return text
