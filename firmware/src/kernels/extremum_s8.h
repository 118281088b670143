/* MAXIMUM and MINIMUM with broadcasting over width and channels; all of one scale. */
#ifndef EKWS_EXTREMUM_S8_H
#define EKWS_EXTREMUM_S8_H

#include "elementwise_s8.h"

EKWS_KERNEL void ekws_extremum_s8(ekws_elementwise_shape_t s, int32_t largest, const int8_t *a, const int8_t *b, int8_t *out) {
  for (int32_t x = 0; x < s.width; x++) {
    const int8_t *pa = a + (s.a_width == 1 ? 0 : x * s.a_channels), *pb = b + (s.b_width == 1 ? 0 : x * s.b_channels);
    for (int32_t c = 0; c < s.channels; c++) {
      const int8_t qa = pa[s.a_channels == 1 ? 0 : c], qb = pb[s.b_channels == 1 ? 0 : c];
      *out++ = (qa > qb) == largest ? qa : qb;
    }
  }
}

#endif
