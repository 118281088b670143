"""Row program -> C: model.c, which holds everything, and model.h."""

from dataclasses import dataclass

from edge_kws_converters.kernel_row import Kernel
from edge_kws_converters.kernels import check_core
from edge_kws_converters.passes.fire_together import fire_together
from edge_kws_converters.passes.lay_out_weights import lay_out_weights
from edge_kws_converters.passes.memory import Block, plan_memory
from edge_kws_converters.passes.schedule import Schedule, schedule
from edge_kws_converters.passes.use_fast_calls import use_fast_calls
from edge_kws_converters.program import ConvShape, Layer, Program
from edge_kws_converters.writers.c_layers import Emission, layer_function, written
from edge_kws_converters.writers.c_text import comment, identifier, paste_headers

_PREAMBLE = """#if defined(__GNUC__)
#define EKWS_ALIGNED(n) __attribute__((aligned(n)))
#else
#define EKWS_ALIGNED(n)
#endif

#define ARENA(offset) ((int8_t *)&s->arena[0] + (offset))
"""

_RINGS = """/* Pointers to `taps` rows of a ring, `step` slots apart, from slot `at` on. */
EKWS_NOINLINE void ekws_rows(const int8_t *ring, uint32_t pitch, uint32_t slots, uint32_t at, uint32_t step, uint32_t taps,
                             const int8_t **rows) {
  for (uint32_t i = 0; i < taps; i++) {
    rows[i] = ring + at * pitch;
    at += step;
    if (at >= slots) {
      at -= slots;
    }
  }
}

/* `step` slots further in a ring. */
EKWS_KERNEL ekws_slot_t ekws_next(uint32_t at, uint32_t step, uint32_t slots) {
  at += step;
  return (ekws_slot_t)(at >= slots ? at - slots : at);
}
"""


@dataclass(frozen=True, slots=True, eq=False)
class CModel:
    """Generated C and what was planned for it."""

    name: str
    source: str
    header: str
    program: Program
    blocks: list[Block]


def write_c(program: Program, core: str, *, name: str | None = None, frontend_digest: str = "") -> CModel:
    """Plans a lowered (or streamified) program and prints it.

    Args:
        program: from `lower` or `streamify`.
        core: a key of kernels.CORES.
        name: prefix of the C names; the program's name when None.
        frontend_digest: of the front end the model was trained with; goes into the header.

    Raises:
        ConversionError: unknown core, or an output that is never computed.
    """
    check_core(core)
    fire_together(program, core)
    lay_out_weights(program, core)
    use_fast_calls(program, core)
    plan = schedule(program)
    blocks = plan_memory(program, plan)
    emission = Emission(program, edges=[edge for layer in program.layers for edge in layer.edges])
    functions = [layer_function(emission, layer) for layer in program.layers]
    prefix = identifier(name or program.name)
    header = _header(emission, prefix, core, frontend_digest)
    return CModel(prefix, _source(emission, plan, prefix, core, functions), header, program, blocks)


def _counts(emission: Emission) -> tuple[str, str]:
    """Types of row counts and of ring slots: as small as the model allows."""
    rings = emission.program.rings
    rows = max(ring.rows + ring.pad_before + ring.pad_after for ring in rings) if not emission.program.stride else 0
    waits = max([rows, *(edge.begin + edge.span + edge.stride for edge in emission.edges), *(ring.slots for ring in rings)])
    return ("int8_t" if waits < 120 else "int16_t"), ("uint8_t" if max(ring.slots for ring in rings) < 256 else "uint16_t")


def _header(emission: Emission, prefix: str, core: str, digest: str) -> str:
    program, upper = emission.program, prefix.upper()
    ring, layers = program.input, len(program.layers)
    wait, slot = _counts(emission)
    rows = program.stride or ring.rows
    defines = {
        "INPUT_ROWS": ring.rows,
        "ROW_BYTES": ring.row_bytes,
        "INPUT_BYTES": ring.rows * ring.row_bytes,
        "OUTPUT_BYTES": program.output.rows * program.output.row_bytes,
        "ARENA_BYTES": program.arena_bytes,
        "MACS": program.macs,
    }
    if program.stride:
        defines |= {"STRIDE_ROWS": rows, "FIRST_OUTPUT_ROWS": program.first}
    lines = "".join(f"#define EKWS_{upper}_{key} {value}\n" for key, value in defines.items())
    lines += f"#define EKWS_{upper}_STATE_BYTES (sizeof(ekws_{prefix}_t))\n"
    if digest:
        lines += f'/* The front end whose features this model takes. */\n#define EKWS_{upper}_FRONTEND_DIGEST "{digest}"\n'
    made = "" if program.stride else f"  uint16_t made[{layers}];\n"
    return f"""/* {comment(program.name)}, compiled by edge_kws for {core}. Generated: change the model, not this file. */
#ifndef EKWS_{upper}_H
#define EKWS_{upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{lines}
/* All the RAM of the model but its stack; the caller's. Never copied at start: everything else is const. */
typedef struct {{
  uint64_t arena[{max(1, -(-program.arena_bytes // 8))}];
{made}  {wait} wait[{max(1, len(emission.edges))}];
  {slot} read[{max(1, len(emission.edges))}];
  {slot} write[{layers}];
}} ekws_{prefix}_t;

{_prototypes(program, prefix)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _prototypes(program: Program, prefix: str) -> str:
    upper = prefix.upper()
    if program.stride:
        return f"""/* Forgets all rows. Call it once before the first. */
void ekws_{prefix}_reset(ekws_{prefix}_t *state);

/* Takes one row (ROW_BYTES). Returns 1 when it completed an output (OUTPUT_BYTES), else 0 and leaves `output` as it is. */
int32_t ekws_{prefix}_push(ekws_{prefix}_t *state, const int8_t *row, int8_t *output);
"""
    return f"""/* One window (EKWS_{upper}_INPUT_BYTES) to its output (EKWS_{upper}_OUTPUT_BYTES). The state needs no initialisation. */
void ekws_{prefix}_run(ekws_{prefix}_t *state, const int8_t *window, int8_t *output);
"""


def _source(emission: Emission, plan: Schedule, prefix: str, core: str, functions: list[str]) -> str:
    program = emission.program
    wait, slot = _counts(emission)
    taps = max([1, *(_pointers(layer, layer.kernel) for layer in program.layers if layer.kernel is not None)])
    title = f"/* {comment(program.name)}, compiled by edge_kws for {core}. Generated: change the model, not this file. */"
    types = f"typedef ekws_{prefix}_t ekws_state_t;\ntypedef {wait} ekws_wait_t;\ntypedef {slot} ekws_slot_t;\n"
    instances = [_instance(name, text) for text, name in emission.instances.items()]
    parts = [
        title,
        '#include "model.h"\n\n#include <string.h>\n',
        f"#define EKWS_MAX_TAPS {taps}\n",
        paste_headers(["kernel.h", *sorted(emission.headers)]),
        "/* ======== the model ======== */\n",
        _PREAMBLE,
        types,
        _RINGS,
        "\n".join(emission.constants),
        "/* A kernel for each shape; layers of one shape share it. */\n" + "\n".join(instances),
        "\n".join(functions),
        _reset(emission),
        _tick(emission, plan),
        _entry(program, prefix),
    ]
    return "\n".join(parts)


def _pointers(layer: Layer, kernel: Kernel) -> int:
    """How many input pixels or runs of them the kernels in plain C point to at a time; they lie on the stack."""
    shape = layer.shape
    assert isinstance(shape, ConvShape)
    if kernel.variant not in ("portable", "vector"):
        return 1
    runs = kernel.op == "conv" and not shape.padded and (shape.dilation_width == 1 or shape.kernel_width == 1)
    return shape.kernel_height * (1 if runs else shape.kernel_width)


def _instance(name: str, text: str) -> str:
    signature, body = text.split("\n", 1)
    return f"EKWS_NOINLINE void {name}{signature} {{\n{body}}}\n"


def _reset(emission: Emission) -> str:
    """Positions before the first row; padding rows lie in their rings already."""
    program, edges = emission.program, emission.edges
    waits = [str(edge.begin + edge.span - edge.ring.pad_before) for edge in edges] or ["0"]
    reads = [str(edge.begin % edge.ring.slots) for edge in edges] or ["0"]
    writes = [str(ring.pad_before % ring.slots) for ring in program.rings]
    text = f"static const ekws_wait_t first_wait[{len(waits)}] = {{{', '.join(waits)}}};\n"
    text += f"static const ekws_slot_t first_read[{len(reads)}] = {{{', '.join(reads)}}};\n"
    text += f"static const ekws_slot_t first_write[{len(writes)}] = {{{', '.join(writes)}}};\n\n"
    text += "static void reset(ekws_state_t *s) {\n"
    for name in ("wait", "read", "write"):
        text += f"  memcpy(s->{name}, first_{name}, sizeof first_{name});\n"
    if not program.stride:
        text += "  memset(s->made, 0, sizeof s->made);\n"
    for ring in program.rings:
        if ring.pad_before:
            text += f"  memset(ARENA({ring.offset}), {ring.pad_value}, {ring.pad_before * ring.pitch});\n"
    for layer in program.layers:
        if layer.sliding:
            text += f"  memset(ARENA({layer.scratch_offset}), 0, sizeof(int32_t)); /* running sums start anew */\n"
    return text + "}\n"


def _tick(emission: Emission, plan: Schedule) -> str:
    program = emission.program
    body = "".join(_turn(emission, plan, layer) for layer in program.layers)
    title = "/* Takes a row and lets every layer that has its rows make one. Returns 1 when the output was written. */"
    return f"{title}\nstatic int32_t tick(ekws_state_t *s, const int8_t *window, int8_t *output) {{\n{body}  return 0;\n}}\n"


def _turn(emission: Emission, plan: Schedule, layer: Layer) -> str:
    """What a layer does in a tick: a row if its rows are there, else padding once the tensor is complete."""
    n, program, ring = emission.index(layer), emission.program, layer.out
    arguments = "s" + (", window" if layer.kind == "input" else "") + (", output" if ring is program.output else "")
    ready = " && ".join(f"s->wait[{emission.edge(edge)}] <= 0" for edge in layer.edges)
    call = f"layer_{n}({arguments});\n"
    if program.stride:
        done = "    return 1;\n" if ring is program.output else ""
        word = "while" if layer.catches_up and not done else "if"
        return f"  {word} ({ready}) {{\n    {call}{done}  }}\n" if ready else f"  {call}"
    fires = layer.fires
    limited = id(layer) in plan.limited or ring.pad_after > 0 or not layer.edges
    condition = " && ".join(filter(None, [f"s->made[{n}] < {fires}" if limited else "", ready]))
    text = f"  if ({condition}) {{\n    {call}    s->made[{n}]++;\n"
    if ring is program.output:
        text += f"    if (s->made[{n}] == {fires}) {{\n      return 1;\n    }}\n"
    text += "  }"
    if ring.pad_after:
        slot = f" + s->write[{n}] * {ring.pitch}" if ring.slots > 1 else ""
        moved = "".join(f"  {line}\n" for line in written(emission, layer).splitlines())
        # A layer that is ready never has its rows complete: padding waits for it.
        text += f" else if (s->made[{n}] >= {fires} && s->made[{n}] < {fires + ring.pad_after}) {{\n"
        text += f"    memset(ARENA({ring.offset}){slot}, {ring.pad_value}, {ring.row_bytes});\n{moved}    s->made[{n}]++;\n  }}"
    return text + "\n"


def _entry(program: Program, prefix: str) -> str:
    if program.stride:
        return f"""void ekws_{prefix}_reset(ekws_{prefix}_t *state) {{ reset(state); }}

int32_t ekws_{prefix}_push(ekws_{prefix}_t *state, const int8_t *row, int8_t *output) {{ return tick(state, row, output); }}
"""
    row = "window" if program.layers[0].shape else f"window + row * EKWS_{prefix.upper()}_ROW_BYTES"
    return f"""void ekws_{prefix}_run(ekws_{prefix}_t *state, const int8_t *window, int8_t *output) {{
  reset(state);
  /* The last ticks only finish what padding delays: no row is read any more. */
  for (int32_t row = 0; !tick(state, {row}, output); row += row < EKWS_{prefix.upper()}_INPUT_ROWS) {{
  }}
}}
"""
