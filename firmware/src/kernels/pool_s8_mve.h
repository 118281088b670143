/* MAX_POOL_2D and sums for means with Helium (Cortex-M55): sixteen and four channels at a time. */
#ifndef EKWS_POOL_S8_MVE_H
#define EKWS_POOL_S8_MVE_H

#include "pool_s8.h"
#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* A multiple of 16 channels. */
EKWS_KERNEL void ekws_max_pool_s8_mve(ekws_pool_shape_t s, const int8_t *const *rows, int8_t *out) {
  const int8x16_t low = vdupq_n_s8((int8_t)s.low), high = vdupq_n_s8((int8_t)s.high);
  for (int32_t x = 0; x < s.out_width; x++) {
    const int32_t start = x * s.stride_width - s.pad_left;
    const int32_t from = start < 0 ? 0 : start;
    const int32_t to = start + s.kernel_width < s.in_width ? start + s.kernel_width : s.in_width;
    for (int32_t c = 0; c < s.channels; c += 16, out += 16) {
      int8x16_t most = low;
      for (int32_t ky = 0; ky < s.kernel_height; ky++) {
        for (const int8_t *q = rows[ky] + from * s.channels + c, *const end = q + (to - from) * s.channels; q != end; q += s.channels) {
          most = vmaxq_s8(most, ekws_load_mve(q));
        }
      }
      vstrbq_s8(out, vminq_s8(most, high));
    }
  }
}

/* A multiple of 4 channels. */
EKWS_KERNEL void ekws_sum_row_s8_mve(ekws_pool_shape_t s, const int8_t *row, int32_t *sums) {
  for (int32_t c = 0; c < s.channels; c += 4, row += 4, sums += 4) {
    int32x4_t sum = vldrwq_s32(sums);
    const int8_t *q = row;
#pragma GCC unroll 8
    for (int32_t x = 0; x < s.in_width; x++, q += s.channels) {
      sum = vaddq_s32(sum, vldrbq_s32(q));
    }
    vstrwq_s32(sums, sum);
  }
}

#endif
#endif
