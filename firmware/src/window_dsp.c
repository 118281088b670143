/* The window of window.c with DSP instructions, four complex points at a time. */
#include "bits.h"
#include "kernels/dsp.h"
#include "window.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && !(defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1))

#define POINTS (EKWS_FFT_SAMPLES / 2)
#define WEIGHT_BITS 12

EKWS_DSP_INLINE uint32_t weighted(uint32_t samples, uint32_t weights) {
  const int32_t first = ekws_smulbb(samples, weights), second = ekws_smultt(samples, weights);
  return ekws_pkhbt_lsl4((uint32_t)(first >> WEIGHT_BITS), (uint32_t)second);
}

/* A pair near or beyond the end of the window. */
static uint32_t weighted_tail(const ekws_spectrum_config_t *config, const int16_t *history, unsigned n) {
  if (n + 1 < config->window_samples) {
    return weighted(ekws_load_pair(history + n), ekws_load_pair(config->window + n));
  }
  return n < config->window_samples ? weighted((uint16_t)history[n], (uint16_t)config->window[n]) : 0;
}

EKWS_DSP_INLINE uint32_t stored(int16_t *p, uint32_t pair) {
  ekws_store_pair(p, pair);
  return ekws_abs16(pair);
}

unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out) {
  const int16_t *window = config->window, *sample = history, *const whole = history + (config->window_samples & ~7u);
  uint32_t magnitudes = 0;
  unsigned base = 0;
  for (; sample < whole; sample += 8, window += 8) {
    int16_t *const p = out + 2 * base;
    magnitudes |= stored(p, weighted(ekws_load_pair(sample), ekws_load_pair(window)));
    magnitudes |= stored(p + POINTS / 2, weighted(ekws_load_pair(sample + 2), ekws_load_pair(window + 2)));
    magnitudes |= stored(p + POINTS, weighted(ekws_load_pair(sample + 4), ekws_load_pair(window + 4)));
    magnitudes |= stored(p + POINTS / 2 * 3, weighted(ekws_load_pair(sample + 6), ekws_load_pair(window + 6)));
    base = ekws_window_next(base);
  }
  for (unsigned n = config->window_samples & ~7u; n < EKWS_FFT_SAMPLES; n += 8) {
    for (unsigned j = 0; j < 4; j++) {
      magnitudes |= stored(out + 2 * base + POINTS / 2 * j, weighted_tail(config, history, n + 2 * j));
    }
    base = ekws_window_next(base);
  }
  return ekws_window_headroom((magnitudes | magnitudes >> 16) & 0xffffu);
}

#endif
