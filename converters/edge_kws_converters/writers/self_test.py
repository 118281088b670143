"""self_test.c: golden vectors, and a function that runs them through the generated model on the device."""

from edge_kws_converters.golden import GoldenRows
from edge_kws_converters.writers.c import CModel
from edge_kws_converters.writers.c_text import array, comment

_RUN = """  for (int32_t i = 0; i < COUNT; i++) {{
    ekws_{name}_run(&state, rows + i * EKWS_{upper}_INPUT_BYTES, output);
    if (memcmp(output, outputs + i * EKWS_{upper}_OUTPUT_BYTES, EKWS_{upper}_OUTPUT_BYTES) != 0) {{
      return i + 1;
    }}
  }}
  return 0;
"""

_PUSH = """  int32_t made = 0;
  ekws_{name}_reset(&state);
  for (int32_t row = 0; row < (int32_t)(sizeof rows / EKWS_{upper}_ROW_BYTES); row++) {{
    if (ekws_{name}_push(&state, rows + row * EKWS_{upper}_ROW_BYTES, output) && made < COUNT) {{
      if (memcmp(output, outputs + made * EKWS_{upper}_OUTPUT_BYTES, EKWS_{upper}_OUTPUT_BYTES) != 0) {{
        return made + 1;
      }}
      made++;
    }}
  }}
  return made == COUNT ? 0 : COUNT + 1;
"""

_FILE = """/* Golden vectors of {title}: the bytes of TFLite's int8 reference kernels. Generated.
 * ekws_{name}_self_test() returns 0 when every output is as recorded, else 1 + the index of the first that differs.
 * -DEKWS_SELF_TEST_MAIN adds a main() that returns it. */
#include "model.h"

#include <string.h>

int32_t ekws_{name}_self_test(void);

#define COUNT {count}

{rows}
{outputs}
int32_t ekws_{name}_self_test(void) {{
  static ekws_{name}_t state;
  int8_t output[EKWS_{upper}_OUTPUT_BYTES];
{body}}}

#ifdef EKWS_SELF_TEST_MAIN
int main(void) {{ return (int)ekws_{name}_self_test(); }}
#endif
"""


def write_self_test(model: CModel, golden: GoldenRows) -> str:
    """The text of self_test.c."""
    names = {"name": model.name, "upper": model.name.upper()}
    return _FILE.format(
        **names,
        title=comment(model.program.name),
        count=len(golden.outputs),
        rows=array("int8_t", "rows", golden.rows),
        outputs=array("int8_t", "outputs", golden.outputs),
        body=(_PUSH if model.program.stride else _RUN).format(**names),
    )
