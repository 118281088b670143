/* Requantisation with DSP instructions, for channels whose second shift n is 1 .. 23 and |acc| < 2^30.
 *
 * TFLite rounds twice: h = (2 acc m + 2^31) >> 32, q = (h + (h >> 31) + 2^(n - 1)) >> n, then adds the zero point. `twice` is 2 acc: weights
 * or inputs are doubled before, and so is the bias. `offset` is 2^(n - 1) + (zero point << n): what is added before the shift comes out
 * after it. The sign of acc serves for that of h: they differ where h is 0 only, and there the shift takes away what was subtracted.
 * `rectified`, a literal: see ekws_rectifies. */
#ifndef EKWS_REQUANTIZE_DSP_H
#define EKWS_REQUANTIZE_DSP_H

#include "dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

EKWS_DSP_INLINE int8_t ekws_requantize_dsp(int rectified, int32_t twice, uint32_t multiplier, uint32_t offset, uint32_t shift) {
  const int32_t rounding = (int32_t)offset + (rectified ? 0 : twice >> 31);
  return (int8_t)ekws_ssat8(ekws_smmlar((uint32_t)twice, multiplier, rounding) >> shift);
}

/* Narrower activations than int8 has. */
__attribute__((unused)) static inline void ekws_clamp_s8_dsp(int8_t *values, int32_t count, int32_t low, int32_t high) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t value = values[i] < low ? low : values[i];
    values[i] = (int8_t)(value > high ? high : value);
  }
}

#endif
#endif
