#include "log_scale.h"

#include "bits.h"

#define CORRECTION_BITS 3 /* makes the scale that of a 512-point transform with Q12 weights */
#define OUTPUT_BITS 6
#define LOG_BITS 16
#define SEGMENT_BITS 7
#define LN2_Q16 45426u

static uint32_t log2_q16(uint32_t x) {
  const unsigned integer = 31u - ekws_clz(x);
  const uint32_t mantissa = x - (1u << integer);
  const uint32_t fraction = integer < LOG_BITS ? mantissa << (LOG_BITS - integer) : mantissa >> (integer - LOG_BITS);
  return ((uint32_t)integer << LOG_BITS) + fraction;
}

uint16_t ekws_log_scale(uint32_t amplitude, const uint16_t *table) {
  const uint32_t limit = UINT32_MAX >> CORRECTION_BITS;
  const uint32_t value = (amplitude < limit ? amplitude : limit) << CORRECTION_BITS;
  if (value == 0) {
    return 0;
  }
  const uint32_t linear = log2_q16(value);
  const uint32_t fraction = linear & 0xffffu;
  const uint32_t segment = fraction >> (LOG_BITS - SEGMENT_BITS);
  const uint32_t within = fraction & ((1u << (LOG_BITS - SEGMENT_BITS)) - 1u);
  const int32_t step = (int32_t)table[segment + 1] - (int32_t)table[segment];
  /* Within a segment of 2^9 the published code scales by 2^16: the correction is all but a staircase. Kept: bits count. */
  const int32_t correction = (int32_t)table[segment] + ((step * (int32_t)within) >> LOG_BITS);
  const uint32_t log2_value = linear + (uint32_t)correction;
  const uint32_t ln_value = (uint32_t)(((uint64_t)LN2_Q16 * log2_value + (1u << (LOG_BITS - 1))) >> LOG_BITS);
  const uint32_t scaled = ((ln_value << OUTPUT_BITS) + (1u << (LOG_BITS - 1))) >> LOG_BITS;
  return scaled < UINT16_MAX ? (uint16_t)scaled : UINT16_MAX;
}

int8_t ekws_feature(uint16_t log_mel, uint16_t divisor) {
  const uint32_t quotient = ((uint32_t)log_mel * 256u + divisor / 2u) / divisor;
  return (int8_t)((int32_t)(quotient < 255u ? quotient : 255u) - 128);
}
