/* SOFTMAX in TFLite's fixed point: exponentials from a table the model compiler made, one reciprocal by Newton's method. */
#ifndef EKWS_SOFTMAX_S8_H
#define EKWS_SOFTMAX_S8_H

#include "requantize.h"

EKWS_KERNEL int32_t ekws_shift_left_saturating(int32_t x, int32_t n) {
  const int32_t limit = (int32_t)(0x7fffffff >> n);
  return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)x << n);
}

/* Both signs, saturating: gemmlowp's SaturatingRoundingDoublingHighMul. */
EKWS_KERNEL int32_t ekws_q31_product(int32_t a, int32_t b) {
  return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : ekws_high_product(a, b);
}

/* 1 / (1 + x), Q31, for x = 0 .. 1 in Q31. */
EKWS_NOINLINE int32_t ekws_reciprocal(int32_t x) {
  const int64_t sum = (int64_t)x + INT32_MAX;
  const int32_t half = (int32_t)((sum + 1) / 2);
  int32_t estimate = 1515870810 + ekws_q31_product(half, -1010580540); /* 48/17 - 32/17 d, Q29 */
  for (int32_t i = 0; i < 3; i++) {
    const int32_t error = ((int32_t)1 << 29) - ekws_q31_product(half, estimate);
    estimate += ekws_shift_left_saturating(ekws_q31_product(estimate, error), 2);
  }
  return ekws_shift_left_saturating(estimate, 1);
}

/* exps[d]: exp of d steps below the largest input, Q31, for d < count; smaller ones count as nothing. One softmax
 * over `channels` for each of `width` pixels. */
EKWS_KERNEL void ekws_softmax_s8(int32_t count, int32_t width, int32_t channels, const int8_t *in, const int32_t *exps, int8_t *out) {
  for (int32_t x = 0; x < width; x++, in += channels, out += channels) {
    int32_t most = -128;
    for (int32_t c = 0; c < channels; c++) {
      most = in[c] > most ? in[c] : most;
    }
    int32_t sum = 0; /* Q19 */
    for (int32_t c = 0; c < channels; c++) {
      if (most - in[c] < count) {
        sum += ekws_shift_any(exps[most - in[c]], 12);
      }
    }
    int32_t headroom = 0;
    while (((uint32_t)sum << headroom) < 0x80000000u) {
      headroom++;
    }
    const int32_t scale = ekws_reciprocal((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
    for (int32_t c = 0; c < channels; c++) {
      int32_t q = -128;
      if (most - in[c] < count) {
        q += ekws_shift_any(ekws_q31_product(scale, exps[most - in[c]]), 12 - headroom + 23);
      }
      out[c] = (int8_t)ekws_clamp(q, -128, 127);
    }
  }
}

#endif
