/* DEPTHWISE_CONV_2D, portable: weights [kernel_height][kernel_width][out_channels]. */
#ifndef EKWS_DEPTHWISE_S8_H
#define EKWS_DEPTHWISE_S8_H

#include "requantize.h"

/* Channels at a time: a vector's worth where there are vectors, else what stays in registers. */
#if defined(__arm__) || (defined(__riscv) && __riscv_xlen == 32)
#define EKWS_DEPTHWISE_BLOCK 1
#else
#define EKWS_DEPTHWISE_BLOCK 16
#endif

/* Channels first .. first + n - 1 of one pixel; sums stay in registers where n is literal. */
EKWS_KERNEL void ekws_depthwise_block_s8(ekws_conv_shape_t s, const int8_t *const *taps, int32_t first, int32_t n, const ekws_weights_t *w,
                                         int8_t *out) {
  int32_t sums[EKWS_DEPTHWISE_BLOCK];
  const int8_t *weights = (const int8_t *)w->weights + first;
  for (int32_t i = 0; i < n; i++) {
    sums[i] = w->bias[first + i];
  }
#pragma GCC unroll 9
  for (int32_t t = 0; t < s.kernel_height * s.kernel_width; t++) {
    const int8_t *q = taps[t];
    for (int32_t i = 0; i < n; i++) {
      sums[i] += q[s.multiplies == 1 ? first + i : (first + i) / s.multiplies] * weights[t * s.out_channels + i];
    }
  }
  for (int32_t i = 0; i < n; i++) {
    const int32_t c = first + i;
    out[c] = ekws_requantize(sums[i], w->multiplier[c], w->shift[c], s.shifts, s.out_zero, s.low, s.high);
  }
}

/* `scratch`: in_channels bytes where the width is padded, else unused. */
EKWS_KERNEL void ekws_depthwise_s8(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out) {
  const int32_t reach = (s.out_width - 1) * s.stride_width - s.pad_left + (s.kernel_width - 1) * s.dilation_width;
  const int32_t padded = s.pad_left > 0 || reach >= s.in_width;
  const int8_t *taps[EKWS_MAX_TAPS];
  int8_t *zeros = (int8_t *)scratch;
  if (padded) {
    memset(zeros, s.in_zero, (size_t)s.in_channels);
  }
  for (int32_t x = 0; x < s.out_width; x++, out += s.out_channels) {
    const int8_t **tap = taps;
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      for (int32_t kx = 0; kx < s.kernel_width; kx++) {
        const int32_t at = x * s.stride_width - s.pad_left + kx * s.dilation_width;
        *tap++ = !padded || (at >= 0 && at < s.in_width) ? rows[ky] + at * s.in_channels : zeros;
      }
    }
    int32_t c = 0;
    for (; c + EKWS_DEPTHWISE_BLOCK <= s.out_channels; c += EKWS_DEPTHWISE_BLOCK) {
      ekws_depthwise_block_s8(s, taps, c, EKWS_DEPTHWISE_BLOCK, w, out);
    }
    if (c < s.out_channels) {
      ekws_depthwise_block_s8(s, taps, c, s.out_channels - c, w, out);
    }
  }
}

#endif
