/* ADD and SUB of rows of one size with DSP instructions (Cortex-M4, M7, M33); every shift is 22 at most. See elementwise_s8.h for what is
 * computed. */
#ifndef EKWS_ADD_S8_DSP_H
#define EKWS_ADD_S8_DSP_H

#include "elementwise_s8.h"
#include "requantize_dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

/* round(twice m / 2^32) / 2^n, halves away from zero, plus offset; the sign of twice serves for that of the product, see requantize_dsp.h. */
EKWS_DSP_INLINE int32_t ekws_scale_dsp(int32_t twice, int32_t multiplier, int32_t n, int32_t offset) {
  const int32_t rounding = n > 0 ? offset * (1 << n) + (1 << (n - 1)) + (twice >> 31) : offset;
  return ekws_smmlar((uint32_t)twice, (uint32_t)multiplier, rounding) >> n;
}

EKWS_KERNEL void ekws_add_s8_dsp(ekws_elementwise_shape_t s, int32_t sign, const int8_t *a, const int8_t *b, int8_t *out) {
  const int32_t one = 2 << EKWS_ADD_BITS; /* doubled */
  for (const int8_t *const end = a + s.width * s.channels; a != end;) {
    const int32_t qa = ekws_scale_dsp(*a++ * one - s.a_zero * one, s.a_multiplier, s.a_shift, 0);
    const int32_t qb = ekws_scale_dsp(*b++ * one - s.b_zero * one, s.b_multiplier, s.b_shift, 0);
    const int32_t q = ekws_scale_dsp(2 * (qa + sign * qb), s.multiplier, s.shift, s.out_zero);
    *out++ = (int8_t)(s.low > -128 || s.high < 127 ? ekws_clamp(q, s.low, s.high) : ekws_ssat8(q));
  }
}

#endif
#endif
