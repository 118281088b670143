/* Stage 1: window. Writes the weighted samples in the order the FFT takes them. */
#ifndef EKWS_WINDOW_H
#define EKWS_WINDOW_H

#include "bits.h"
#include "ekws.h"

/* history (window_samples) -> out (256, re im) in base-4 digit-reversed order, zero beyond the window.
 * Returns how far the FFT must scale them up, 0 .. 15 bits, so that they use 15 bits. */
unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out);

/* Bits to spare below bit 15, of magnitudes or'ed together: the highest bit of the largest is the highest of all. */
static inline unsigned ekws_window_headroom(uint32_t magnitudes) {
  const unsigned used = 32u - ekws_clz(magnitudes);
  return used < 15 ? 15 - used : 0;
}

/* Points 4 i .. 4 i + 3 go to `base`, base + 64, base + 128 and base + 192, base being i with its base-4 digits reversed.
 * This gives the base of i + 1: the carry runs to the right. */
static inline unsigned ekws_window_next(unsigned base) {
  base += EKWS_FFT_SAMPLES / 32;
  if (base >= EKWS_FFT_SAMPLES / 8) {
    base -= EKWS_FFT_SAMPLES / 8 - EKWS_FFT_SAMPLES / 128;
    base -= base >= EKWS_FFT_SAMPLES / 32 ? EKWS_FFT_SAMPLES / 32 - 1 : 0;
  }
  return base;
}

#endif
