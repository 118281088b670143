#include "window.h"

#include "bits.h"

#define WEIGHT_BITS 12
#define SAMPLE_BITS 15

/* Q12 weight times sample; 0 beyond the window */
static inline int32_t weighted(const ekws_spectrum_config_t *config, const int16_t *history, unsigned n) {
  return n < config->window_samples ? ((int32_t)history[n] * config->window[n]) >> WEIGHT_BITS : 0;
}

static unsigned headroom(const ekws_spectrum_config_t *config, const int16_t *history) {
  int32_t largest = 0;
  for (unsigned n = 0; n < config->window_samples; n++) {
    const int32_t value = weighted(config, history, n);
    const int32_t magnitude = value < 0 ? -value : value;
    largest = magnitude > largest ? magnitude : largest;
  }
  const unsigned used = 32u - ekws_clz((uint32_t)largest);
  return used < SAMPLE_BITS ? SAMPLE_BITS - used : 0;
}

unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out) {
  const unsigned shift = headroom(config, history);
  /* Two real samples make one complex point: the real FFT of 512 is a complex one of 256, untangled at its end. */
  for (unsigned n = 0; n < EKWS_FFT_SAMPLES / 2; n++) {
    const unsigned reversed = ((n & 0x03u) << 6) | ((n & 0x0cu) << 2) | ((n & 0x30u) >> 2) | (n >> 6);
    out[2 * reversed] = (int16_t)(weighted(config, history, 2 * n) * (1 << shift));
    out[2 * reversed + 1] = (int16_t)(weighted(config, history, 2 * n + 1) * (1 << shift));
  }
  return shift;
}
