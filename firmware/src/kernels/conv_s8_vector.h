/* Convolution of int8 rows on hosts: rows are widened to 16 bits once, then two inputs at a time meet up to 40 channels. Weights: vector.h. */
#ifndef EKWS_CONV_S8_VECTOR_H
#define EKWS_CONV_S8_VECTOR_H

#include "vector.h"

/* Groups whose sums stay in registers. */
#if defined(__SSE2__) || defined(__aarch64__)
#define EKWS_CONV_GROUPS 5
#else
#define EKWS_CONV_GROUPS 1
#endif

/* One pixel, `groups` groups of channels from `channel` on. Inputs lie in `runs` runs `pitch` apart, or where the width is dilated
 * `dilation` apart within a row of kernel_width runs. */
EKWS_KERNEL void ekws_conv_groups_vector(ekws_conv_shape_t s, const int16_t *pixel, int32_t pitch, const int8_t *weights, int32_t groups,
                                         int32_t channel, int8_t *out) {
  const int32_t touching = s.dilation_width == 1 ? s.kernel_width : 1;
  const int32_t pairs = (touching * s.in_channels + 1) / 2;
  const int32_t group_bytes = EKWS_GROUP_COLUMNS + s.kernel_height * (s.kernel_width / touching) * pairs * EKWS_PAIR_BYTES;
  ekws_v4_t sums[2 * EKWS_CONV_GROUPS];
  weights += channel / 8 * group_bytes;
#pragma GCC unroll 5
  for (int32_t g = 0; g < groups; g++) {
    sums[2 * g] = ekws_v_load(weights + g * group_bytes);
    sums[2 * g + 1] = ekws_v_load(weights + g * group_bytes + 16);
  }
  const int8_t *w = weights + EKWS_GROUP_COLUMNS;
  for (int32_t ky = 0; ky < s.kernel_height; ky++) {
    for (int32_t kx = 0; kx < s.kernel_width; kx += touching) {
      const int16_t *run = pixel + ky * pitch + kx * s.dilation_width * s.in_channels;
      for (int32_t i = 0; i < pairs; i++, w += EKWS_PAIR_BYTES) {
        int32_t pair;
        memcpy(&pair, run + 2 * i, sizeof pair);
        const ekws_v4_t x = ekws_v_same(pair);
#pragma GCC unroll 5
        for (int32_t g = 0; g < groups; g++) {
          sums[2 * g] = ekws_v_dot2(sums[2 * g], x, w + g * group_bytes);
          sums[2 * g + 1] = ekws_v_dot2(sums[2 * g + 1], x, w + g * group_bytes + 16);
        }
      }
    }
  }
#pragma GCC unroll 5
  for (int32_t g = 0; g < groups; g++) {
    const int32_t rest = s.out_channels - channel - 8 * g;
    ekws_v_requantize(sums + 2 * g, weights + g * group_bytes, s, rest < 8 ? rest : 8, out + channel + 8 * g);
  }
}

/* `scratch`: the rows as int16 with what is padded, and one element more. */
EKWS_KERNEL void ekws_conv_s8_vector(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out) {
  const int32_t reach = (s.out_width - 1) * s.stride_width - s.pad_left + (s.kernel_width - 1) * s.dilation_width + 1;
  const int32_t pitch = (s.pad_left + (reach > s.in_width ? reach : s.in_width)) * s.in_channels;
  int16_t *wide = (int16_t *)scratch;
  for (int32_t ky = 0; ky < s.kernel_height; ky++) {
    int16_t *const row = wide + ky * pitch, *const first = row + s.pad_left * s.in_channels;
    for (int16_t *p = row; p < first; p++) {
      *p = (int16_t)s.in_zero;
    }
    for (int32_t i = 0; i < s.in_width * s.in_channels; i++) {
      first[i] = rows[ky][i];
    }
    for (int16_t *p = first + s.in_width * s.in_channels; p < row + pitch; p++) {
      *p = (int16_t)s.in_zero;
    }
  }
  wide[s.kernel_height * pitch] = 0;
  const int32_t groups = (s.out_channels + 7) / 8;
  for (int32_t x = 0; x < s.out_width; x++, out += s.out_channels) {
    const int16_t *const pixel = wide + x * s.stride_width * s.in_channels;
    int32_t g = 0;
    for (; g + EKWS_CONV_GROUPS <= groups; g += EKWS_CONV_GROUPS) {
      ekws_conv_groups_vector(s, pixel, pitch, (const int8_t *)w->weights, EKWS_CONV_GROUPS, 8 * g, out);
    }
    if (groups % EKWS_CONV_GROUPS > 0) {
      ekws_conv_groups_vector(s, pixel, pitch, (const int8_t *)w->weights, groups % EKWS_CONV_GROUPS, 8 * g, out);
    }
  }
}

#endif
