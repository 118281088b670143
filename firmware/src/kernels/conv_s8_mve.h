/* Convolution of int8 rows with Helium (Cortex-M55): VMLADAV sums 16 products, for up to three pixels and two channels at a time.
 *
 * Weights: (channels, depth16) int8, depth = kernel_height kernel_width in_channels, zeros up to a multiple of 16; an odd last channel
 * has a partner of zeros. Then the columns of requantize_mve.h, zeros up to a multiple of 4 channels. */
#ifndef EKWS_CONV_S8_MVE_H
#define EKWS_CONV_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* acts: `pixels` (a literal, 1 .. 3) of depth16 bytes, `pitch` bytes apart -> acc (pixels, channels even). */
EKWS_KERNEL void ekws_conv_pixels_mve(int32_t pixels, const int8_t *acts, int32_t pitch, const int8_t *w, int32_t depth16, int32_t channels,
                                      int32_t *acc) {
  const int32_t even = (channels + 1) / 2 * 2;
  for (int32_t o = 0; o < even; o += 2, w += 2 * depth16, acc += 2) {
    int32_t a0 = 0, a1 = 0, b0 = 0, b1 = 0, c0 = 0, c1 = 0;
#pragma GCC unroll 4
    for (int32_t k = 0; k < depth16; k += 16) {
      const int8x16_t w0 = vldrbq_s8(w + k), w1 = vldrbq_s8(w + depth16 + k);
      const int8x16_t a = vldrbq_s8(acts + k);
      a0 = vmladavaq_s8(a0, a, w0);
      a1 = vmladavaq_s8(a1, a, w1);
      if (pixels > 1) {
        const int8x16_t b = vldrbq_s8(acts + pitch + k);
        b0 = vmladavaq_s8(b0, b, w0);
        b1 = vmladavaq_s8(b1, b, w1);
      }
      if (pixels > 2) {
        const int8x16_t c = vldrbq_s8(acts + 2 * pitch + k);
        c0 = vmladavaq_s8(c0, c, w0);
        c1 = vmladavaq_s8(c1, c, w1);
      }
    }
    acc[0] = a0;
    acc[1] = a1;
    if (pixels > 1) {
      acc[even] = b0;
      acc[even + 1] = b1;
    }
    if (pixels > 2) {
      acc[2 * even] = c0;
      acc[2 * even + 1] = c1;
    }
  }
}

/* The inputs of output pixel `x`, gathered; what lies beyond depth meets weights of zero. */
EKWS_KERNEL void ekws_conv_patch_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t x, int8_t *to) {
  const int32_t run = s.kernel_width * s.in_channels, first = x * s.stride_width - s.pad_left;
  const int inside = s.dilation_width == 1 && first >= 0 && first + s.kernel_width <= s.in_width;
  for (int32_t ky = 0; ky < s.kernel_height; ky++, to += run) {
    if (inside) {
      memcpy(to, rows[ky] + first * s.in_channels, (uint32_t)run);
      continue;
    }
    for (int32_t kx = 0; kx < s.kernel_width; kx++) {
      const int32_t column = first + kx * s.dilation_width;
      if (column >= 0 && column < s.in_width) {
        memcpy(to + kx * s.in_channels, rows[ky] + column * s.in_channels, (uint32_t)s.in_channels);
      } else {
        memset(to + kx * s.in_channels, s.in_zero, (uint32_t)s.in_channels);
      }
    }
  }
}

EKWS_KERNEL void ekws_conv_group_mve(int32_t pixels, ekws_conv_shape_t s, const int8_t *const *rows, const int8_t *w, int8_t *scratch,
                                     int32_t x, int8_t *out) {
  const int32_t depth = s.kernel_height * s.kernel_width * s.in_channels, depth16 = (depth + 15) / 16 * 16;
  const int32_t even = (s.out_channels + 1) / 2 * 2;
  const int in_place = s.kernel_height == 1 && s.kernel_width == 1 && s.pad_left == 0 && depth == depth16;
  int32_t *const acc = (int32_t *)(void *)scratch;
  int8_t *const patches = scratch + 4 * 3 * ((s.out_channels + 3) / 4 * 4);
  if (in_place) {
    ekws_conv_pixels_mve(pixels, rows[0] + x * s.stride_width * s.in_channels, s.stride_width * s.in_channels, w, depth16, s.out_channels, acc);
  } else {
    for (int32_t p = 0; p < pixels; p++) {
      ekws_conv_patch_mve(s, rows, x + p, patches + p * depth16);
    }
    ekws_conv_pixels_mve(pixels, patches, depth16, w, depth16, s.out_channels, acc);
  }
  const int32_t *const columns = (const int32_t *)(const void *)(w + even * depth16);
  ekws_requantize_mve(acc, pixels, even, columns, s.out_channels, s, out + x * s.out_channels);
}

EKWS_KERNEL void ekws_conv_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch, int8_t *out) {
  /* Threes, and what is left in twos: 4 is 2 + 2. */
  const int32_t threes = s.out_width % 3 == 1 ? s.out_width / 3 - 1 : s.out_width / 3;
  int32_t x = 0;
  if (s.out_width == 1) {
    ekws_conv_group_mve(1, s, rows, weights->weights, scratch, 0, out);
    return;
  }
  for (; x < 3 * threes; x += 3) {
    ekws_conv_group_mve(3, s, rows, weights->weights, scratch, x, out);
  }
  for (; x < s.out_width; x += 2) {
    ekws_conv_group_mve(2, s, rows, weights->weights, scratch, x, out);
  }
}

#endif
#endif
