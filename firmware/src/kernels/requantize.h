/* TFLite's requantisation. Convolutions round twice: a Q31 product to nearest, then a right shift, halves away from zero. */
#ifndef EKWS_REQUANTIZE_H
#define EKWS_REQUANTIZE_H

#include "kernel.h"

EKWS_KERNEL int32_t ekws_clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

/* (a * b) / 2^31, halves up; b >= 0, so nothing saturates. */
EKWS_KERNEL int32_t ekws_high_product(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31); }

/* The same for |a| < 2^30, b < 2^31. ARMv6-M has no long multiplication, and the library's takes all 64 bits: four short ones do. */
EKWS_KERNEL int32_t ekws_small_high_product(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
  const int32_t a_high = a >> 16;
  const uint32_t a_low = (uint16_t)a, b_high = (uint32_t)b >> 16, b_low = (uint16_t)b;
  /* 2^30 keeps the middle positive: it comes off again, shifted. Below it, 2^14 rounds. */
  const uint32_t middle = (uint32_t)a_high * b_low + a_low * b_high + ((a_low * b_low) >> 16) + ((uint32_t)1 << 30) + ((uint32_t)1 << 14);
  return (int32_t)((uint32_t)a_high * b_high * 2u + (middle >> 15)) - (1 << 15);
#else
  return ekws_high_product(a, b);
#endif
}

/* x / 2^n, halves away from zero, 1 <= n <= 31, |x| < 2^30. */
EKWS_KERNEL int32_t ekws_shift_right(int32_t x, int32_t n) { return (x + (x >> 31) + ((int32_t)1 << (n - 1))) >> n; }

/* The same for every x and 0 <= n <= 31. */
EKWS_KERNEL int32_t ekws_shift_any(int32_t x, int32_t n) {
  const int32_t mask = (int32_t)(((uint32_t)1 << n) - 1u);
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> n) + ((x & mask) > threshold);
}

EKWS_KERNEL int32_t ekws_scale(int32_t x, int32_t multiplier, int32_t shift, int32_t shifts) {
  if (shifts == EKWS_SHIFT_RIGHT) {
    return ekws_shift_right(ekws_small_high_product(x, multiplier), shift);
  }
  if (shifts == EKWS_SHIFT_ONCE) {
    return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << (30 + shift))) >> (31 + shift));
  }
  const int32_t left = shift < 0 ? -shift : 0;
  return ekws_shift_any(ekws_high_product((int32_t)((uint32_t)x << left), multiplier), shift > 0 ? shift : 0);
}

EKWS_KERNEL int8_t ekws_requantize(int32_t sum, int32_t multiplier, int32_t shift, int32_t shifts, int32_t zero, int32_t low, int32_t high) {
  return (int8_t)ekws_clamp(ekws_scale(sum, multiplier, shift, shifts) + zero, low, high);
}

#endif
