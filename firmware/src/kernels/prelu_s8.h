/* PRELU: above zero the value, below it times a slope of its own for each channel (or place). */
#ifndef EKWS_PRELU_S8_H
#define EKWS_PRELU_S8_H

#include "elementwise_s8.h"

/* b: the slopes; their product's multiplier is b's, the value's own a's. */
EKWS_KERNEL void ekws_prelu_s8(ekws_elementwise_shape_t s, const int8_t *a, const int8_t *b, int8_t *out) {
  for (int32_t x = 0; x < s.width; x++) {
    const int8_t *pa = a + (s.a_width == 1 ? 0 : x * s.a_channels), *pb = b + (s.b_width == 1 ? 0 : x * s.b_channels);
    for (int32_t c = 0; c < s.channels; c++) {
      const int32_t q = pa[s.a_channels == 1 ? 0 : c] - s.a_zero, slope = pb[s.b_channels == 1 ? 0 : c] - s.b_zero;
      *out++ = q >= 0 ? ekws_requantize(q, s.a_multiplier, s.a_shift, EKWS_SHIFT_ANY, s.out_zero, s.low, s.high)
                      : ekws_requantize(q * slope, s.b_multiplier, s.b_shift, EKWS_SHIFT_ANY, s.out_zero, s.low, s.high);
    }
  }
}

#endif
