/* Four lanes of 32 bits in the vector extensions of GCC and clang, for hosts; with SSE2 and NEON where plain C says too little.
 *
 * Layers go by groups of 8 channels, the last filled up with zeros. A group in memory: bias, multiplier and 2^-shift as floats, 8 of each;
 * then for each pair of inputs (8, 2) int16 weights. */
#ifndef EKWS_VECTOR_H
#define EKWS_VECTOR_H

#include "requantize.h"

#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "core host: expected GCC or clang and a little-endian machine; convert for core portable"
#endif

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef int32_t ekws_v4_t __attribute__((vector_size(16)));
typedef uint32_t ekws_u4_t __attribute__((vector_size(16)));
typedef float ekws_f4_t __attribute__((vector_size(16)));

#define EKWS_GROUP_COLUMNS 96 /* bytes before the weights of a group */
#define EKWS_PAIR_BYTES 32

EKWS_KERNEL ekws_v4_t ekws_v_load(const void *from) {
  ekws_v4_t v;
  memcpy(&v, from, sizeof v);
  return v;
}

/* sums + x y, each lane holding two int16 */
EKWS_KERNEL ekws_v4_t ekws_v_dot2(ekws_v4_t sums, ekws_v4_t x, ekws_v4_t y) {
#if defined(__SSE2__)
  return sums + (ekws_v4_t)_mm_madd_epi16((__m128i)x, (__m128i)y);
#else
  const ekws_v4_t low = (ekws_v4_t)((ekws_u4_t)x << 16) >> 16, low2 = (ekws_v4_t)((ekws_u4_t)y << 16) >> 16;
  return sums + low * low2 + (x >> 16) * (y >> 16);
#endif
}

/* ekws_small_high_product of each lane */
EKWS_KERNEL ekws_v4_t ekws_v_high_product(ekws_v4_t a, ekws_v4_t b) {
#if defined(__SSE2__)
  const __m128i x = (__m128i)a, y = (__m128i)b, round = _mm_set1_epi64x((int64_t)1 << 30);
  const __m128i even = _mm_srli_epi64(_mm_add_epi64(_mm_mul_epu32(x, y), round), 31);
  const __m128i odd = _mm_slli_epi64(_mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64(x, 32), _mm_srli_epi64(y, 32)), round), 1);
  const ekws_v4_t mask = {-1, 0, -1, 0};
  /* Unsigned products: those of a negative a are 2^32 b too large. */
  return (((ekws_v4_t)even & mask) | ((ekws_v4_t)odd & ~mask)) - (ekws_v4_t)((ekws_u4_t)((a >> 31) & b) << 1);
#elif defined(__aarch64__)
  return (ekws_v4_t)vqrdmulhq_s32((int32x4_t)a, (int32x4_t)b);
#else
  ekws_v4_t product;
  for (int32_t i = 0; i < 4; i++) {
    product[i] = ekws_small_high_product(a[i], b[i]);
  }
  return product;
#endif
}

/* ekws_scale with EKWS_SHIFT_RIGHT and shifts up to 14, exact for results of 9 bits and beyond them where larger ones are. Floats of 24 bits
 * hold such a quotient and its half. */
EKWS_KERNEL ekws_v4_t ekws_v_scaled(ekws_v4_t sums, const int8_t *columns) {
  const ekws_v4_t product = ekws_v_high_product(sums, ekws_v_load(columns + 32));
  const ekws_v4_t half = {0x3f000000, 0x3f000000, 0x3f000000, 0x3f000000};
  const ekws_v4_t signed_half = (ekws_v4_t)((ekws_u4_t)product & 0x80000000u) | half;
  const ekws_f4_t quotient = __builtin_convertvector(product, ekws_f4_t) * (ekws_f4_t)ekws_v_load(columns + 64);
  return __builtin_convertvector(quotient + (ekws_f4_t)signed_half, ekws_v4_t);
}

/* Eight sums to the n <= 8 outputs of their group. */
EKWS_KERNEL void ekws_v_requantize(const ekws_v4_t *sums, const int8_t *columns, ekws_conv_shape_t s, int32_t n, int8_t *out) {
  const ekws_v4_t a = ekws_v_scaled(sums[0], columns), b = ekws_v_scaled(sums[1], columns + 16);
  int8_t results[8];
#if defined(__SSE2__)
  __m128i q = _mm_adds_epi16(_mm_packs_epi32((__m128i)a, (__m128i)b), _mm_set1_epi16((int16_t)s.out_zero));
  q = _mm_min_epi16(_mm_max_epi16(q, _mm_set1_epi16((int16_t)s.low)), _mm_set1_epi16((int16_t)s.high));
  _mm_storel_epi64((__m128i *)(void *)results, _mm_packs_epi16(q, q));
#else
  for (int32_t i = 0; i < 4; i++) {
    results[i] = (int8_t)ekws_clamp(a[i] + s.out_zero, s.low, s.high);
    results[i + 4] = (int8_t)ekws_clamp(b[i] + s.out_zero, s.low, s.high);
  }
#endif
  memcpy(out, results, (size_t)n);
}

#endif
