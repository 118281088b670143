/* A compiled model on a board: windows (or, streaming, rows) in, outputs out, a region for each. */
#include <string.h>

#include "board.h"
#include "model.h"

static ekws_measured_t state;

#if defined(EKWS_MEASURED_STRIDE_ROWS)
#define TAKEN_BYTES EKWS_MEASURED_ROW_BYTES
#else
#define TAKEN_BYTES EKWS_MEASURED_INPUT_BYTES
#endif

static int8_t taken[TAKEN_BYTES] __attribute__((aligned(4)));
static int8_t output[EKWS_MEASURED_OUTPUT_BYTES] __attribute__((aligned(4)));

int board_main(void) {
  uint32_t deepest = 0;
  memset(&state, 0x55, sizeof state); /* a state needs no initialisation of its own */
  BOARD_REGION_BEGIN();
#if defined(EKWS_MEASURED_STRIDE_ROWS)
  ekws_measured_reset(&state);
#endif
  BOARD_REGION_END();
  board_report("ram", sizeof state);
  while (board_read(taken, sizeof taken) == sizeof taken) {
    board_paint_stack();
    BOARD_REGION_BEGIN();
#if defined(EKWS_MEASURED_STRIDE_ROWS)
    const int32_t made = ekws_measured_push(&state, taken, output);
#else
    ekws_measured_run(&state, taken, output);
    const int32_t made = 1;
#endif
    BOARD_REGION_END();
    const uint32_t used = board_stack_used();
    deepest = used > deepest ? used : deepest;
    if (made) {
      board_write(output, sizeof output);
    }
  }
  board_report("stack", deepest);
  return 0;
}
