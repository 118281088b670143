#include "window.h"

#if !(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP) /* else window_dsp.c */

#define WEIGHT_BITS 12
#define QUARTER (EKWS_FFT_SAMPLES / 4)

/* Stores a weighted sample; returns its magnitude. */
static inline uint32_t stored(int16_t *out, int32_t sample, int32_t weight) {
  const int32_t value = (sample * weight) >> WEIGHT_BITS;
  *out = (int16_t)value;
  return (uint32_t)(value < 0 ? -value : value);
}

/* Two real samples make one complex point: the real FFT of 512 is a complex one of 256, untangled at its end. */
unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out) {
  const int16_t *window = config->window;
  uint32_t magnitudes = 0;
  unsigned base = 0, n = 0;
  for (; n + 8 <= config->window_samples; n += 8, history += 8, window += 8) {
    int16_t *const p = out + 2 * base, *const q = p + 2 * QUARTER;
    magnitudes |= stored(p, history[0], window[0]) | stored(p + 1, history[1], window[1]);
    magnitudes |= stored(p + QUARTER, history[2], window[2]) | stored(p + QUARTER + 1, history[3], window[3]);
    magnitudes |= stored(q, history[4], window[4]) | stored(q + 1, history[5], window[5]);
    magnitudes |= stored(q + QUARTER, history[6], window[6]) | stored(q + QUARTER + 1, history[7], window[7]);
    base = ekws_window_next(base);
  }
  for (; n < EKWS_FFT_SAMPLES; n += 8, history += 8, window += 8) {
    for (unsigned i = 0; i < 8; i++) {
      int16_t *const p = out + 2 * base + QUARTER * (i >> 1) + (i & 1u);
      magnitudes |= n + i < config->window_samples ? stored(p, history[i], window[i]) : stored(p, 0, 0);
    }
    base = ekws_window_next(base);
  }
  return ekws_window_headroom(magnitudes);
}

#endif
