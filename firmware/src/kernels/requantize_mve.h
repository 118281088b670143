/* Requantisation of four channels at a time with Helium (Cortex-M55), exactly as TFLite rounds; every shift n >= 1. */
#ifndef EKWS_REQUANTIZE_MVE_H
#define EKWS_REQUANTIZE_MVE_H

#include "kernel.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

/* Else GCC computes every address in advance and keeps them all on the stack. */
#define EKWS_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* 16 bytes at an address that is a multiple of 4: offsets in the instruction reach four times as far as for bytes. */
EKWS_KERNEL int8x16_t ekws_load_mve(const int8_t *p) { return vreinterpretq_s8_s32(vldrwq_s32((const int32_t *)(const void *)p)); }

/* After the weights of a layer, for each four channels: bias, multiplier, minus shift; int32. */
enum { EKWS_MVE_COLUMNS = 12 };

/* Two sums into lanes `lane` and `lane` + 2. */
#define EKWS_MVE_LANES(vector, lane, low, high)                                                              \
  __asm__("vmov %q0[" EKWS_MVE_UPPER_##lane "], %q0[" #lane "], %1, %2" : "+w"(vector) : "r"(low), "r"(high))
#define EKWS_MVE_UPPER_0 "2"
#define EKWS_MVE_UPPER_1 "3"

/* sums (pixels, 4) without bias -> channels `o` .. + 3 of out (pixels, channels). */
EKWS_KERNEL void ekws_requantize_four_mve(const int32x4_t *sums, int32_t pixels, const int32_t *columns, int32_t o, ekws_conv_shape_t s,
                                          int8_t *out) {
  const int32x4_t bias = vldrwq_s32(columns), multiplier = vldrwq_s32(columns + 4), shift = vldrwq_s32(columns + 8);
#pragma GCC unroll 5
  for (int32_t p = 0; p < pixels; p++) {
    int32x4_t h = vqrdmulhq_s32(vaddq_s32(sums[p], bias), multiplier);
    h = vrshlq_s32(vaddq_s32(h, vshrq_n_s32(h, 31)), shift); /* rounds halves away from zero */
    h = vaddq_n_s32(h, s.out_zero);
    h = vminq_s32(vmaxq_s32(h, vdupq_n_s32(s.low)), vdupq_n_s32(s.high));
    int8_t *const to = out + p * s.out_channels + o;
    if (o + 4 <= s.out_channels) {
      vstrbq_s32(to, h);
    } else { /* not vstrbq_p_s32: GCC 12 takes it for a whole store and drops those that seem to be overwritten */
      int32_t values[4];
      vstrwq_s32(values, h);
      for (int32_t i = 0; i < s.out_channels - o; i++) {
        to[i] = (int8_t)values[i];
      }
    }
  }
}

#endif
#endif
