/* Front end on a board: PCM in, features out, a region for the set-up and one for each hop. */
#include "board.h"
#include "ekws.h"

#define MAX_FRAMES 1

extern const ekws_spectrum_config_t ekws_measured_spectrum;
extern const ekws_bank_config_t ekws_measured_bank;

static ekws_spectrum_t spectrum;
static ekws_bank_t bank;
static int8_t features[MAX_FRAMES * EKWS_MAX_MEL_BINS];
static int16_t pcm[HOP];

int board_main(void) {
  BOARD_REGION_BEGIN();
  const int32_t refused = ekws_spectrum_init(&spectrum, &ekws_measured_spectrum) | ekws_bank_init(&bank, &ekws_measured_bank);
  BOARD_REGION_END();
  if (refused != EKWS_OK) {
    return 1;
  }
  board_report("ram", sizeof spectrum + sizeof bank + ekws_measured_bank.mel_bins);
  uint32_t deepest = 0;
  while (board_read(pcm, sizeof pcm) == sizeof pcm) {
    const ekws_frames_t frames = {NULL, NULL, features};
    board_paint_stack();
    BOARD_REGION_BEGIN();
    const int32_t count = ekws_frontend_process(&spectrum, &bank, 1, pcm, HOP, &frames, MAX_FRAMES);
    BOARD_REGION_END();
    const uint32_t used = board_stack_used();
    deepest = used > deepest ? used : deepest;
    if (count < 0) {
      return 2;
    }
    board_write(features, (size_t)count * ekws_measured_bank.mel_bins);
  }
  board_report("stack", deepest);
  return 0;
}
