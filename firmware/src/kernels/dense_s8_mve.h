/* FULLY_CONNECTED, which rounds once, with Helium (Cortex-M55): VMLADAV sums 16 products of four channels at a time.
 *
 * Weights: for each four channels, those of zeros included that make the last four full, (kernel_height, run16 / 16, 4, 16) int8; run is
 * kernel_width in_channels, with zeros up to a multiple of 16. */
#ifndef EKWS_DENSE_S8_MVE_H
#define EKWS_DENSE_S8_MVE_H

#include "requantize.h"
#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

EKWS_KERNEL void ekws_dense_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                   int8_t *out) {
  (void)scratch;
  const int32_t run = s.kernel_width * s.in_channels;
  const int8_t *w = weights->weights;
  for (int32_t o = 0; o < s.out_channels; o += 4) {
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      for (int32_t i = 0; i < run; i += 16, w += 64) {
        const int8x16_t x = run % 16 == 0 ? vldrbq_s8(rows[ky] + i) : vldrbq_z_s8(rows[ky] + i, vctp8q((uint32_t)(run - i)));
        sums[0] = vmladavaq_s8(sums[0], x, ekws_load_mve(w));
        sums[1] = vmladavaq_s8(sums[1], x, ekws_load_mve(w + 16));
        sums[2] = vmladavaq_s8(sums[2], x, ekws_load_mve(w + 32));
        sums[3] = vmladavaq_s8(sums[3], x, ekws_load_mve(w + 48));
      }
    }
    for (int32_t c = o; c < o + 4 && c < s.out_channels; c++) {
      const int32_t sum = sums[c - o] + weights->bias[c];
      out[c] = ekws_requantize(sum, weights->multiplier[c], weights->shift[c], s.shifts, s.out_zero, s.low, s.high);
    }
  }
}

#endif
#endif
