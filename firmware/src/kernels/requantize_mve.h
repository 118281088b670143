/* Requantisation of four channels at a time with Helium (Cortex-M55), exactly as TFLite rounds; every shift n >= 1. */
#ifndef EKWS_REQUANTIZE_MVE_H
#define EKWS_REQUANTIZE_MVE_H

#include "kernel.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

/* After the weights of a layer, for each four channels: bias, multiplier, minus shift; int32. */
enum { EKWS_MVE_COLUMNS = 12 };

/* acc (pixels, pitch) without bias, channels 0 .. count - 1 -> out (pixels, channels). */
EKWS_KERNEL void ekws_requantize_mve(const int32_t *acc, int32_t pixels, int32_t pitch, const int32_t *columns, int32_t count,
                                     ekws_conv_shape_t s, int8_t *out) {
  const int32x4_t low = vdupq_n_s32(s.low), high = vdupq_n_s32(s.high);
  for (int32_t c = 0; c < count; c += 4, columns += EKWS_MVE_COLUMNS) {
    const int32x4_t bias = vldrwq_s32(columns), multiplier = vldrwq_s32(columns + 4), shift = vldrwq_s32(columns + 8);
    const mve_pred16_t there = vctp32q((uint32_t)(count - c));
#pragma GCC unroll 8
    for (int32_t p = 0; p < pixels; p++) {
      int32x4_t h = vqrdmulhq_s32(vaddq_s32(vldrwq_s32(acc + p * pitch + c), bias), multiplier);
      h = vrshlq_s32(vaddq_s32(h, vshrq_n_s32(h, 31)), shift); /* rounds halves away from zero */
      h = vminq_s32(vmaxq_s32(vaddq_n_s32(h, s.out_zero), low), high);
      if (s.out_channels % 4 == 0) {
        vstrbq_s32(out + p * s.out_channels + c, h);
      } else {
        vstrbq_p_s32(out + p * s.out_channels + c, h, there);
      }
    }
  }
}

#endif
#endif
