/* Four lanes of 32 bits, for hosts: SSE2, NEON of 64-bit ARM, else plain C.
 *
 * Layers go by groups of 8 channels, the last filled up with zeros. A group in memory: bias, multiplier, shift and, as a float, 2^-shift,
 * 8 of each; then for each pair of inputs (8, 2) int16 weights. */
#ifndef EKWS_VECTOR_H
#define EKWS_VECTOR_H

#include "requantize.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "core host: expected a little-endian machine; convert for core portable"
#endif

#define EKWS_GROUP_COLUMNS 128 /* bytes before the weights of a group */
#define EKWS_PAIR_BYTES 32

#if defined(__SSE2__)

#include <emmintrin.h>
typedef __m128i ekws_v4_t;

EKWS_KERNEL ekws_v4_t ekws_v_load(const int8_t *from) { return _mm_loadu_si128((const __m128i *)(const void *)from); }

EKWS_KERNEL ekws_v4_t ekws_v_same(int32_t x) { return _mm_set1_epi32(x); }

/* sums + x w, each lane of x and w holding two int16 */
EKWS_KERNEL ekws_v4_t ekws_v_dot2(ekws_v4_t sums, ekws_v4_t x, const int8_t *w) {
  return _mm_add_epi32(sums, _mm_madd_epi16(x, ekws_v_load(w)));
}

/* ekws_small_high_product of each lane */
EKWS_KERNEL __m128i ekws_v_high_product(__m128i a, __m128i b) {
  const __m128i round = _mm_set1_epi64x((int64_t)1 << 30), lower = _mm_set1_epi64x(0xffffffff);
  const __m128i even = _mm_srli_epi64(_mm_add_epi64(_mm_mul_epu32(a, b), round), 31);
  const __m128i odd = _mm_slli_epi64(_mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32)), round), 1);
  const __m128i product = _mm_or_si128(_mm_and_si128(lower, even), _mm_andnot_si128(lower, odd));
  /* Products of unsigned numbers: those of a negative a are 2^32 b too large. */
  return _mm_sub_epi32(product, _mm_slli_epi32(_mm_and_si128(_mm_srai_epi32(a, 31), b), 1));
}

/* ekws_scale with EKWS_SHIFT_RIGHT, for shifts up to 14: floats of 24 bits hold every quotient below 2^9 and its half; larger ones stay
 * larger, and are clamped. */
EKWS_KERNEL __m128i ekws_v_scaled(__m128i sums, const int8_t *columns) {
  const __m128i product = ekws_v_high_product(sums, ekws_v_load(columns + 32));
  const __m128i sign = _mm_and_si128(product, _mm_set1_epi32(INT32_MIN));
  const __m128 half = _mm_castsi128_ps(_mm_or_si128(sign, _mm_castps_si128(_mm_set1_ps(0.5f))));
  const __m128 quotient = _mm_mul_ps(_mm_cvtepi32_ps(product), _mm_castsi128_ps(ekws_v_load(columns + 96)));
  return _mm_cvttps_epi32(_mm_add_ps(quotient, half));
}

/* Eight sums to the outputs of their group. */
EKWS_KERNEL void ekws_v_outputs(const ekws_v4_t *sums, const int8_t *columns, ekws_conv_shape_t s, int8_t *out) {
  const __m128i both = _mm_packs_epi32(ekws_v_scaled(sums[0], columns), ekws_v_scaled(sums[1], columns + 16));
  __m128i q = _mm_adds_epi16(both, _mm_set1_epi16((int16_t)s.out_zero));
  q = _mm_min_epi16(_mm_max_epi16(q, _mm_set1_epi16((int16_t)s.low)), _mm_set1_epi16((int16_t)s.high));
  _mm_storel_epi64((__m128i *)(void *)out, _mm_packs_epi16(q, q));
}

#elif defined(__aarch64__)

#include <arm_neon.h>
typedef int32x4_t ekws_v4_t;

EKWS_KERNEL ekws_v4_t ekws_v_load(const int8_t *from) { return vreinterpretq_s32_s8(vld1q_s8(from)); }

EKWS_KERNEL ekws_v4_t ekws_v_same(int32_t x) { return vdupq_n_s32(x); }

EKWS_KERNEL ekws_v4_t ekws_v_dot2(ekws_v4_t sums, ekws_v4_t x, const int8_t *w) {
  const int16x8_t a = vreinterpretq_s16_s32(x), b = vreinterpretq_s16_s8(vld1q_s8(w));
  return vaddq_s32(sums, vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)));
}

EKWS_KERNEL int32x4_t ekws_v_scaled(int32x4_t sums, const int8_t *columns) {
  const int32x4_t product = vqrdmulhq_s32(sums, ekws_v_load(columns + 32));
  return vrshlq_s32(vsraq_n_s32(product, product, 31), vnegq_s32(ekws_v_load(columns + 64)));
}

EKWS_KERNEL void ekws_v_outputs(const ekws_v4_t *sums, const int8_t *columns, ekws_conv_shape_t s, int8_t *out) {
  const int32x4_t a = ekws_v_scaled(sums[0], columns), b = ekws_v_scaled(sums[1], columns + 16);
  int16x8_t q = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), vdupq_n_s16((int16_t)s.out_zero));
  q = vminq_s16(vmaxq_s16(q, vdupq_n_s16((int16_t)s.low)), vdupq_n_s16((int16_t)s.high));
  vst1_s8(out, vqmovn_s16(q));
}

#else

typedef struct {
  int32_t lane[4];
} ekws_v4_t;

EKWS_KERNEL ekws_v4_t ekws_v_load(const int8_t *from) {
  ekws_v4_t v;
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; i++) {
    memcpy(&v.lane[i], from + 4 * i, sizeof v.lane[i]);
  }
  return v;
}

EKWS_KERNEL ekws_v4_t ekws_v_same(int32_t x) {
  const ekws_v4_t v = {{x, x, x, x}};
  return v;
}

EKWS_KERNEL ekws_v4_t ekws_v_dot2(ekws_v4_t sums, ekws_v4_t x, const int8_t *w) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; i++) {
    int32_t pair;
    memcpy(&pair, w + 4 * i, sizeof pair);
    sums.lane[i] += (int16_t)x.lane[i] * (int16_t)pair;
    sums.lane[i] += (x.lane[i] >> 16) * (pair >> 16);
  }
  return sums;
}

EKWS_KERNEL void ekws_v_outputs(const ekws_v4_t *sums, const int8_t *columns, ekws_conv_shape_t s, int8_t *out) {
#pragma GCC unroll 2
  for (int32_t h = 0; h < 2; h++) {
    const ekws_v4_t multiplier = ekws_v_load(columns + 32 + 16 * h), shift = ekws_v_load(columns + 64 + 16 * h);
#pragma GCC unroll 4
    for (int32_t i = 0; i < 4; i++) {
      const int32_t sum = sums[h].lane[i];
      out[4 * h + i] = ekws_requantize(sum, multiplier.lane[i], shift.lane[i], EKWS_SHIFT_RIGHT, s.out_zero, s.low, s.high);
    }
  }
}

#endif

/* Eight sums to the first n outputs of their group. */
EKWS_KERNEL void ekws_v_requantize(const ekws_v4_t *sums, const int8_t *columns, ekws_conv_shape_t s, int32_t n, int8_t *out) {
  int8_t results[8];
  ekws_v_outputs(sums, columns, s, results);
  memcpy(out, results, (size_t)n);
}

#endif
