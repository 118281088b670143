/* FULLY_CONNECTED, which rounds once, with DSP instructions (Cortex-M4, M7, M33): inputs widened in registers for two channels.
 *
 * Weights: for each two channels, one of zeros at an odd end, (kernel_height, run4 / 4, 2, 4) int8; run is kernel_width in_channels, with
 * zeros up to a multiple of 4. */
#ifndef EKWS_DENSE_S8_DSP_H
#define EKWS_DENSE_S8_DSP_H

#include "dsp.h"
#include "requantize.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

EKWS_KERNEL void ekws_dense_one_dsp(ekws_conv_shape_t s, int32_t sum, int32_t o, const ekws_weights_t *weights, int8_t *out) {
  out[o] = ekws_requantize(sum + weights->bias[o], weights->multiplier[o], weights->shift[o], s.shifts, s.out_zero, s.low, s.high);
}

EKWS_KERNEL void ekws_dense_s8_dsp(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                   int8_t *out) {
  (void)scratch;
  const int32_t run = s.kernel_width * s.in_channels;
  const uint32_t *w = weights->weights;
  for (int32_t o = 0; o < s.out_channels; o += 2) {
    int32_t sum0 = 0, sum1 = 0;
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      const int8_t *from = rows[ky];
#pragma GCC unroll 4
      for (int32_t i = 0; i < run; i += 4, from += 4) {
        uint32_t inputs = 0, w0, w1;
        memcpy(&inputs, from, run % 4 != 0 && i + 4 > run ? (uint32_t)(run % 4) : 4u);
        ekws_load_two(&w, &w0, &w1);
        const uint32_t even = ekws_sxtb16(inputs), odd = ekws_sxtb16_odd(inputs);
        sum0 = ekws_smlad(even, ekws_sxtb16(w0), ekws_smlad(odd, ekws_sxtb16_odd(w0), sum0));
        sum1 = ekws_smlad(even, ekws_sxtb16(w1), ekws_smlad(odd, ekws_sxtb16_odd(w1), sum1));
      }
    }
    ekws_dense_one_dsp(s, sum0, o, weights, out);
    if (o + 1 < s.out_channels) {
      ekws_dense_one_dsp(s, sum1, o + 1, weights, out);
    }
  }
}

#endif
#endif
