/* Requantisation with DSP instructions, for channels whose second shift n is 1 .. 23 and |acc| < 2^30.
 *
 * TFLite rounds twice: h = (2 acc m + 2^31) >> 32, q = (h + (h >> 31) + 2^(n - 1)) >> n, then adds the zero point. `offset` is
 * 2^(n - 1) + (zero point << n): what is added before the shift comes out after it. */
#ifndef EKWS_REQUANTIZE_DSP_H
#define EKWS_REQUANTIZE_DSP_H

#include "dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

EKWS_DSP_INLINE int8_t ekws_requantize_dsp(int32_t acc, uint32_t multiplier, uint32_t offset, uint32_t shift) {
  int32_t h = ekws_smmulr((uint32_t)acc << 1, multiplier);
  h += h >> 31;
  return (int8_t)ekws_ssat8((h + (int32_t)offset) >> shift);
}

/* Narrower activations than int8 has. */
static inline void ekws_clamp_s8_dsp(int8_t *values, int32_t count, int32_t low, int32_t high) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t value = values[i] < low ? low : values[i];
    values[i] = (int8_t)(value > high ? high : value);
  }
}

#endif
#endif
