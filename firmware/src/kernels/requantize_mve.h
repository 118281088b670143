/* Requantisation of four or eight channels at a time with Helium (Cortex-M55), exactly as TFLite rounds; every shift n >= 1.
 *
 * Columns, after the weights that they belong to: for four channels bias, multiplier (int32 each), minus shift (int8 each); for eight the
 * same, each in the order 0 2 4 6 1 3 5 7: narrowing puts the odd channels back between the even ones. */
#ifndef EKWS_REQUANTIZE_MVE_H
#define EKWS_REQUANTIZE_MVE_H

#include "kernel.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

/* Else GCC computes every address in advance and keeps them all on the stack. */
#define EKWS_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* Bytes of columns. */
enum { EKWS_MVE_FOUR_COLUMNS = 36, EKWS_MVE_EIGHT_COLUMNS = 72 };

/* 16 bytes at an address that is a multiple of 4: offsets in the instruction reach four times as far as for bytes. */
EKWS_KERNEL int8x16_t ekws_load_mve(const int8_t *p) { return vreinterpretq_s8_s32(vldrwq_s32((const int32_t *)(const void *)p)); }
EKWS_KERNEL int32x4_t ekws_load_words_mve(const int8_t *p) { return vldrwq_s32((const int32_t *)(const void *)p); }

/* Two sums into lanes 0 and 2, which makes a vector; then into 1 and 3. */
#define EKWS_MVE_LANES_0(vector, low, high) __asm__("vmov %q0[2], %q0[0], %1, %2" : "=w"(vector) : "r"(low), "r"(high))
#define EKWS_MVE_LANES_1(vector, low, high) __asm__("vmov %q0[3], %q0[1], %1, %2" : "+w"(vector) : "r"(low), "r"(high))

/* Before the zero point: rounds halves away from zero, or up where that gives the same bytes. */
EKWS_KERNEL int32x4_t ekws_scale_mve(int32x4_t sum, int32x4_t bias, int32x4_t multiplier, int32x4_t shift, ekws_conv_shape_t s) {
  int32x4_t h = vqrdmulhq_s32(vaddq_s32(sum, bias), multiplier);
  if (!ekws_rectifies(s)) {
    h = vaddq_s32(h, vshrq_n_s32(h, 31));
  }
  return vrshlq_s32(h, shift);
}

/* sums (pixels, 4) without bias -> the first `left`, if not all, of four channels of out (pixels, pitch). */
EKWS_KERNEL void ekws_requantize_four_mve(const int32x4_t *sums, int32_t pixels, const int8_t *columns, ekws_conv_shape_t s, int32_t left,
                                          int8_t *out, int32_t pitch) {
  const int32x4_t bias = ekws_load_words_mve(columns), multiplier = ekws_load_words_mve(columns + 16), shift = vldrbq_s32(columns + 32);
#pragma GCC unroll 5
  for (int32_t p = 0; p < pixels; p++, out += pitch) {
    int32x4_t h = vaddq_n_s32(ekws_scale_mve(sums[p], bias, multiplier, shift, s), s.out_zero);
    if (s.low > -128 || s.high < 127) {
      h = vminq_s32(vmaxq_s32(h, vdupq_n_s32(s.low)), vdupq_n_s32(s.high));
    } else { /* narrowed where they are */
      const int16x8_t q = vqmovnbq_s32(vreinterpretq_s16_s32(h), h);
      h = vreinterpretq_s32_s8(vqmovnbq_s16(vreinterpretq_s8_s16(q), q));
    }
    if (left >= 4) {
      vstrbq_s32(out, h);
    } else { /* not vstrbq_p_s32: GCC 12 takes it for a whole store and drops those that seem to be overwritten */
      int32_t values[4];
      vstrwq_s32(values, h);
      for (int32_t i = 0; i < left; i++) {
        out[i] = (int8_t)values[i];
      }
    }
  }
}

/* Sums (pixels, 4) of even and odd channels, without bias -> eight channels of out (pixels, pitch). */
EKWS_KERNEL void ekws_requantize_eight_mve(const int32x4_t *even, const int32x4_t *odd, int32_t pixels, const int8_t *columns,
                                           ekws_conv_shape_t s, int8_t *out, int32_t pitch) {
#pragma GCC unroll 5
  for (int32_t p = 0; p < pixels; p++, out += pitch) {
    const int32x4_t low = ekws_scale_mve(even[p], ekws_load_words_mve(columns), ekws_load_words_mve(columns + 32), vldrbq_s32(columns + 64), s);
    const int32x4_t high =
        ekws_scale_mve(odd[p], ekws_load_words_mve(columns + 16), ekws_load_words_mve(columns + 48), vldrbq_s32(columns + 68), s);
    int16x8_t q = vqmovnbq_s32(vreinterpretq_s16_s32(low), low);
    q = vqmovntq_s32(q, high);
    q = vqaddq_n_s16(q, (int16_t)s.out_zero);
    if (s.low > -128 || s.high < 127) {
      q = vminq_s16(vmaxq_s16(q, vdupq_n_s16((int16_t)s.low)), vdupq_n_s16((int16_t)s.high));
    } else {
      q = vreinterpretq_s16_s8(vqmovnbq_s16(vreinterpretq_s8_s16(q), q));
    }
    vstrbq_s16(out, q);
  }
}

#endif
#endif
