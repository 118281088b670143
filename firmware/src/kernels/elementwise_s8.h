/* ADD, SUB and MUL with broadcasting over width and channels, and functions of one value by table. */
#ifndef EKWS_ELEMENTWISE_S8_H
#define EKWS_ELEMENTWISE_S8_H

#include "requantize.h"

typedef struct {
  int32_t width, channels;           /* of the output row */
  int32_t a_width, a_channels;       /* each is the output's or 1 */
  int32_t b_width, b_channels;
  int32_t a_zero, b_zero, out_zero, low, high;
  int32_t a_multiplier, a_shift;     /* ADD, SUB: Q31 and right shifts of the operands, brought to 20 more bits */
  int32_t b_multiplier, b_shift;
  int32_t multiplier, shift;         /* of the result */
} ekws_elementwise_shape_t;

#define EKWS_ADD_BITS 20

EKWS_KERNEL int32_t ekws_operand(int32_t q, int32_t zero, int32_t multiplier, int32_t shift) {
  return ekws_shift_any(ekws_high_product((q - zero) * ((int32_t)1 << EKWS_ADD_BITS), multiplier), shift);
}

/* sign: 1 adds, -1 subtracts. */
EKWS_KERNEL void ekws_add_s8(ekws_elementwise_shape_t s, int32_t sign, const int8_t *a, const int8_t *b, int8_t *out) {
  for (int32_t x = 0; x < s.width; x++) {
    const int8_t *pa = a + (s.a_width == 1 ? 0 : x * s.a_channels), *pb = b + (s.b_width == 1 ? 0 : x * s.b_channels);
    for (int32_t c = 0; c < s.channels; c++) {
      const int32_t qa = ekws_operand(pa[s.a_channels == 1 ? 0 : c], s.a_zero, s.a_multiplier, s.a_shift);
      const int32_t qb = ekws_operand(pb[s.b_channels == 1 ? 0 : c], s.b_zero, s.b_multiplier, s.b_shift);
      const int32_t sum = ekws_high_product(qa + sign * qb, s.multiplier);
      *out++ = (int8_t)ekws_clamp(ekws_shift_any(sum, s.shift) + s.out_zero, s.low, s.high);
    }
  }
}

EKWS_KERNEL void ekws_mul_s8(ekws_elementwise_shape_t s, const int8_t *a, const int8_t *b, int8_t *out) {
  for (int32_t x = 0; x < s.width; x++) {
    const int8_t *pa = a + (s.a_width == 1 ? 0 : x * s.a_channels), *pb = b + (s.b_width == 1 ? 0 : x * s.b_channels);
    for (int32_t c = 0; c < s.channels; c++) {
      const int32_t product = (pa[s.a_channels == 1 ? 0 : c] - s.a_zero) * (pb[s.b_channels == 1 ? 0 : c] - s.b_zero);
      *out++ = ekws_requantize(product, s.multiplier, s.shift, EKWS_SHIFT_ANY, s.out_zero, s.low, s.high);
    }
  }
}

/* table[q + 128] */
EKWS_KERNEL void ekws_table_s8(int32_t n, const int8_t *in, const int8_t *table, int8_t *out) {
  for (int32_t i = 0; i < n; i++) {
    out[i] = table[in[i] + 128];
  }
}

/* Places a row of (width, channels) pixels `at` bytes into output pixels of `pitch` bytes: concatenation, slices, padding. */
EKWS_KERNEL void ekws_copy_s8(const int8_t *in, int32_t in_pitch, int32_t width, int32_t channels, int8_t *out, int32_t pitch) {
  for (int32_t x = 0; x < width; x++) {
    memcpy(out + x * pitch, in + x * in_pitch, (size_t)channels);
  }
}

#endif
