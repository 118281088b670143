"""Generated C as a shared library for this machine: the model and a few functions that Python calls."""

from edge_kws_converters.writers.c import CModel

_COMMON = """
#if defined(_WIN32)
#define EKWS_EXPORT __declspec(dllexport)
#else
#define EKWS_EXPORT
#endif

EKWS_EXPORT size_t ekws_host_state_bytes(void) {{ return sizeof(ekws_{name}_t); }}
"""

_STREAM = """
EKWS_EXPORT void ekws_host_reset(void *state) {{ ekws_{name}_reset((ekws_{name}_t *)state); }}

/* `count` rows in; outputs out, one after the other. Returns their number. */
EKWS_EXPORT size_t ekws_host_push(void *state, const int8_t *rows, size_t count, int8_t *outputs) {{
  size_t made = 0;
  for (size_t i = 0; i < count; i++) {{
    made += (size_t)ekws_{name}_push((ekws_{name}_t *)state, rows + i * EKWS_{upper}_ROW_BYTES, outputs + made * EKWS_{upper}_OUTPUT_BYTES);
  }}
  return made;
}}
"""

_WINDOW = """
/* `count` windows that start `step` rows apart. */
EKWS_EXPORT void ekws_host_run(void *state, const int8_t *rows, size_t count, size_t step, int8_t *outputs) {{
  for (size_t i = 0; i < count; i++) {{
    ekws_{name}_run((ekws_{name}_t *)state, rows + i * step * EKWS_{upper}_ROW_BYTES, outputs + i * EKWS_{upper}_OUTPUT_BYTES);
  }}
}}
"""


def host_source(model: CModel) -> str:
    """model.c followed by the functions of the shared library."""
    text = _COMMON + (_STREAM if model.program.stride else _WINDOW)
    return model.source + text.format(name=model.name, upper=model.name.upper())
