/* Depthwise convolution of int8 rows with Helium (Cortex-M55); multiplier 1, any kernel: eight channels of a tap at a time.
 *
 * VMULLB and VMULLT multiply the even and the odd of eight 16-bit lanes into 32 bits, so even and odd channels are summed apart.
 *
 * Weights, for each eight channels: eight int8 for each tap, then the columns of requantize_mve.h. Channels of zeros up to a multiple of 8. */
#ifndef EKWS_DEPTHWISE_S8_MVE_H
#define EKWS_DEPTHWISE_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

typedef struct {
  int32x4_t even[2], odd[2]; /* the second for no pixel */
} ekws_depthwise_sums_mve_t;

/* Sums of the eight channels from `channel` on, for the output whose first tap is in column `first`. `inside`: no tap is padding. */
EKWS_KERNEL ekws_depthwise_sums_mve_t ekws_depthwise_taps_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int32_t channel,
                                                              int inside, int whole, const int8_t *taps) {
  const mve_pred16_t there = vctp16q((uint32_t)(s.in_channels - channel));
  ekws_depthwise_sums_mve_t sums;
  sums.even[0] = sums.odd[0] = vdupq_n_s32(0);
#pragma GCC unroll 5
  for (int32_t ky = 0; ky < s.kernel_height; ky++) {
    const int8_t *from = rows[ky] + first * s.in_channels + channel;
    int32_t column = first;
#pragma GCC unroll 5
    for (int32_t kx = 0; kx < s.kernel_width; kx++, column += s.dilation_width, from += s.dilation_width * s.in_channels, taps += 8) {
      int16x8_t inputs = vdupq_n_s16((int16_t)s.in_zero);
      if (inside || (column >= 0 && column < s.in_width)) {
        inputs = whole ? vldrbq_s16(from) : vldrbq_z_s16(from, there);
      }
      const int16x8_t weights = vldrbq_s16(taps);
      sums.even[0] = vaddq_s32(sums.even[0], vmullbq_int_s16(inputs, weights));
      sums.odd[0] = vaddq_s32(sums.odd[0], vmulltq_int_s16(inputs, weights));
    }
  }
  return sums;
}

/* Eight channels of one output pixel. */
EKWS_KERNEL void ekws_depthwise_eight_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int32_t channel, const int8_t *w,
                                          int8_t *out) {
  const int8_t *const columns = w + 8 * s.kernel_height * s.kernel_width;
  const int inside = first >= 0 && first + (s.kernel_width - 1) * s.dilation_width < s.in_width;
  const int whole = s.in_channels % 8 == 0;
  ekws_depthwise_sums_mve_t sums =
      inside ? ekws_depthwise_taps_mve(s, rows, first, channel, 1, whole, w) : ekws_depthwise_taps_mve(s, rows, first, channel, 0, whole, w);
  if (whole || channel + 8 <= s.in_channels) {
    ekws_requantize_eight_mve(sums.even, sums.odd, 1, columns, s, out, 0);
  } else { /* see requantize_mve.h: no predicated store */
    int8_t values[8];
    ekws_requantize_eight_mve(sums.even, sums.odd, 1, columns, s, values, 0);
    for (int32_t i = 0; i < s.in_channels - channel; i++) {
      out[i] = values[i];
    }
  }
}

EKWS_KERNEL void ekws_depthwise_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                       int8_t *out) {
  (void)scratch;
  const int8_t *w = weights->weights;
  for (int32_t channel = 0; channel < s.out_channels; channel += 8, w += 8 * s.kernel_height * s.kernel_width + EKWS_MVE_EIGHT_COLUMNS) {
    int8_t *to = out + channel;
    for (int32_t x = 0, first = -s.pad_left; x < s.out_width; x++, first += s.stride_width, to += s.out_channels) {
      ekws_depthwise_eight_mve(s, rows, first, channel, w, to);
    }
  }
}

#endif
#endif
