/* ADD and SUB of rows of one size with Helium (Cortex-M55), four values at a time; see elementwise_s8.h for what is computed. */
#ifndef EKWS_ADD_S8_MVE_H
#define EKWS_ADD_S8_MVE_H

#include "elementwise_s8.h"
#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* x / 2^n, halves away from zero; |x| < 2^30. */
EKWS_KERNEL int32x4_t ekws_shift_mve(int32x4_t x, int32_t n) {
  return n > 0 ? vrshlq_n_s32(vaddq_s32(x, vshrq_n_s32(x, 31)), -n) : x;
}

/* (q - zero) 2^20, times the multiplier. */
EKWS_KERNEL int32x4_t ekws_operand_mve(const int8_t *q, int32_t zero, int32_t multiplier, int32_t shift) {
  const int32x4_t x = vsubq_n_s32(vshlq_n_s32(vldrbq_s32(q), EKWS_ADD_BITS), zero * (1 << EKWS_ADD_BITS));
  return ekws_shift_mve(vqrdmulhq_n_s32(x, multiplier), shift);
}

EKWS_KERNEL void ekws_add_s8_mve(ekws_elementwise_shape_t s, int32_t sign, const int8_t *a, const int8_t *b, int8_t *out) {
  const int32_t n = s.width * s.channels, rest = n % 4;
  for (const int8_t *const end = a + n - rest; a != end; a += 4, b += 4, out += 4) {
    const int32x4_t qa = ekws_operand_mve(a, s.a_zero, s.a_multiplier, s.a_shift);
    const int32x4_t qb = ekws_operand_mve(b, s.b_zero, s.b_multiplier, s.b_shift);
    int32x4_t sum = vqrdmulhq_n_s32(sign > 0 ? vaddq_s32(qa, qb) : vsubq_s32(qa, qb), s.multiplier);
    sum = vaddq_n_s32(ekws_shift_mve(sum, s.shift), s.out_zero);
    vstrbq_s32(out, vminq_s32(vmaxq_s32(sum, vdupq_n_s32(s.low)), vdupq_n_s32(s.high)));
  }
  if (rest != 0) {
    s.width = s.a_width = s.b_width = 1;
    s.channels = s.a_channels = s.b_channels = rest;
    ekws_add_s8(s, sign, a, b, out);
  }
}

#endif
#endif
