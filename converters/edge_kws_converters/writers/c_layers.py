"""The C of each layer: its constants, the kernel instance it shares with layers of the same shape, and the function that runs it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from edge_kws_converters.passes.use_fast_calls import SUM_ROW
from edge_kws_converters.program import ConvShape, Edge, Layer, Program, Ring
from edge_kws_converters.writers.c_text import array, comment, fields

_ALIGNMENT = {"weights": 16, "operand": 4}


@dataclass(slots=True)
class Emission:
    """What has been printed so far, and how to reach rings and edges."""

    program: Program
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
        if ring.inside:
            return self.next_slot(ring.inside)
        slot = "" if ring.slots == 1 else f" + s->read[{self.edge(edge)}] * {ring.pitch}"
        return f"ARENA({ring.offset}){slot}"

    def next_slot(self, ring: Ring) -> str:
        """An expression for the row that is written next."""
        slot = "" if ring.slots == 1 else f" + s->write[{self.ring(ring)}] * {ring.pitch}"
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
        return self.next_slot(ring.inside or ring)


def _constants(emission: Emission, layer: Layer) -> dict[str, str]:
    """Prints a layer's constant arrays and returns what they are called."""
    n = emission.index(layer)
    for name, values in layer.constants.items():
        emission.constants.append(array(f"{values.dtype}_t", f"{name}_{n}", values, _ALIGNMENT.get(name, 0)))
    return {name: f"{name}_{n}" for name in layer.constants}


def _conv(emission: Emission, layer: Layer) -> str:
    kernel, shape, n = layer.kernel, layer.shape, emission.index(layer)
    assert kernel is not None
    assert isinstance(shape, ConvShape)
    emission.headers.add(kernel.header)
    names = _constants(emission, layer)
    members = ", ".join(names.get(name, "NULL") for name in ("weights", "bias", "multiplier", "shift"))
    emission.constants.append(f"static const ekws_weights_t layer_{n}_weights = {{{members}}};\n")
    body = f"  {kernel.function}((ekws_conv_shape_t){{{fields(asdict(shape))}}}, rows, w, scratch, out);\n"
    signature = "(const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out)"
    name = emission.instance(layer.kind, signature, body)
    scratch = f"ARENA({layer.scratch_offset})" if layer.scratch else "NULL"
    return emission.take_rows(layer.edges[0]) + f"  {name}(rows, &layer_{n}_weights, {scratch}, {emission.target(layer)});\n"


def _average(emission: Emission, layer: Layer) -> str:
    emission.headers.add("pool_s8.h")
    shape = f"(ekws_pool_shape_t){{{fields(layer.shape)}}}"
    if layer.accumulate:
        return _accumulate(emission, layer, shape)
    if layer.sliding:
        return _slide(emission, layer, shape)
    valid, rows = _valid_rows(emission, layer)
    body = f"  ekws_average_pool_s8({shape}, rows, {'valid' if rows else valid}, out);\n"
    name = emission.instance(layer.kind, f"(const int8_t *const *rows,{' int32_t valid,' if rows else ''} int8_t *out)", body)
    return emission.take_rows(layer.edges[0]) + f"{rows}  {name}(rows, {'valid, ' if rows else ''}{emission.target(layer)});\n"


def _valid_rows(emission: Emission, layer: Layer) -> tuple[str, str]:
    """How many of the rows of an average are no padding, and statements that find it where that changes."""
    edge, taps = layer.edges[0], layer.edges[0].taps
    # The rows before the first of a stream are its past.
    if emission.program.stride or not (edge.ring.pad_before or edge.ring.pad_after):
        return str(taps), ""
    before = edge.ring.pad_before - edge.begin
    first = f"  const int32_t first = s->made[{emission.index(layer)}] * {edge.stride} - {before};\n"
    end = f"(first + {taps} < {edge.ring.rows} ? first + {taps} : {edge.ring.rows})"
    return "valid", f"{first}  const int32_t valid = {end} - (first > 0 ? first : 0);\n"


def _accumulate(emission: Emission, layer: Layer, shape: str) -> str:
    n, sums = emission.index(layer), f"(int32_t *)(void *)ARENA({layer.scratch_offset})"
    call = layer.call or SUM_ROW
    emission.headers.add(call.header)
    add = emission.instance("sum", "(const int8_t *row, int32_t *sums)", f"  {call.function}({shape}, row, sums);\n")
    finish = emission.instance(
        "sum", "(const int32_t *sums, int8_t *out)", f"  ekws_sum_finish_s8({shape}, sums, {layer.accumulate}, out);\n"
    )
    text = f"  int32_t *sums = {sums};\n  if (s->made[{n}] == 0) {{\n    memset(sums, 0, {layer.scratch});\n  }}\n"
    text += f"  {add}({emission.one_row(layer.edges[0])}, sums);\n"
    return text + f"  if (s->made[{n}] == {layer.accumulate - 1}) {{\n    {finish}(sums, {emission.target(layer)});\n@WROTE@  }}\n"


def _slide(emission: Emission, layer: Layer, shape: str) -> str:
    """All rows once; then only those that are new and those that leave."""
    edge, sliding = layer.edges[0], layer.sliding
    assert sliding is not None
    ring, kept = edge.ring, edge.taps - sliding.fresh
    at, step = f"s->read[{emission.edge(edge)}]", edge.dilation % ring.slots
    newest = f"ekws_next({at}, {kept * edge.dilation % ring.slots}, {ring.slots})"

    def take(first: str, count: int, to: int) -> str:
        return f"    ekws_rows(ARENA({ring.offset}), {ring.pitch}, {ring.slots}, {first}, {step}, {count}, rows + {to});\n"

    text = f"  const int8_t *rows[{edge.taps}];\n  int32_t *sums = (int32_t *)(void *)ARENA({layer.scratch_offset});\n"
    text += f"  if (sums[0] < {sliding.phases}) {{\n{take(at, edge.taps, 0)}  }} else {{\n"
    text += f"{take(at, sliding.fresh, 0)}{take(newest, sliding.fresh, kept)}  }}\n"
    body = f"  ekws_sliding_mean_s8({shape}, {sliding.fresh}, {sliding.phases}, rows, sums, out);\n"
    name = emission.instance("sliding_mean", "(const int8_t *const *rows, int32_t *sums, int8_t *out)", body)
    return f"{text}  {name}(rows, sums, {emission.target(layer)});\n"


def _call(emission: Emission, layer: Layer) -> str:
    """The kernel that the layer names; with a shape, through an instance that equal layers share."""
    call, lines = layer.call, ""
    assert call is not None
    emission.headers.add(call.header)
    if call.taps:
        lines, arguments = emission.take_rows(layer.edges[0]), {"rows": "rows"}
        parameters = ["const int8_t *const *rows"]
    else:
        arguments = {f"row_{i}": emission.one_row(edge) for i, edge in enumerate(layer.edges)}
        parameters = [f"const int8_t *{name}" for name in arguments]
    parameters += [f"const {values.dtype}_t *{name}" for name, values in layer.constants.items()]
    arguments |= _constants(emission, layer)
    literals = [str(literal) for literal in call.literals]
    target = emission.target(layer)
    if not call.struct:
        return f"{lines}  {call.function}({', '.join([*literals, *arguments.values(), target])});\n"
    shape = f"({call.struct}){{{fields(layer.shape)}}}"
    body = f"  {call.function}({', '.join([shape, *literals, *arguments, 'out'])});\n"
    name = emission.instance(layer.kind, f"({', '.join([*parameters, 'int8_t *out'])})", body)
    return f"{lines}  {name}({', '.join([*arguments.values(), target])});\n"


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
    "average_pool": _average,
    "conv": _conv,
    "copy": _copy,
    "depthwise": _conv,
    "input": _input,
}


def layer_function(emission: Emission, layer: Layer) -> str:
    """`layer_<n>`: runs the kernel once, then moves the positions of what it read and wrote."""
    n, ring = emission.index(layer), layer.out
    body = _LAYERS.get(layer.kind, _call)(emission, layer)
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
    text = f"  s->write[{n}] = ekws_next(s->write[{n}], {layer.together}, {ring.slots});\n" if ring.slots > layer.together else ""
    for i, edge in enumerate(emission.edges):
        if edge.ring is ring:
            text += f"  s->wait[{i}]--;\n" if layer.together == 1 else f"  s->wait[{i}] = (ekws_wait_t)(s->wait[{i}] - {layer.together});\n"
    return text
