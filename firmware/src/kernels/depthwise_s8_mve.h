/* Depthwise convolution of int8 rows with Helium (Cortex-M55); multiplier 1, no dilation, any kernel.
 *
 * Sixteen channels at a time are turned so that a channel's columns lie one after the other, each from its first tap row to its last:
 * the window of an output is then one run of bytes, and VMLADAV sums 16 of its products.
 *
 * Weights: (channels, taps16) int8, a channel's taps column by column, zeros up to a multiple of 16; channels of zeros up to a
 * multiple of 16. Then the columns of requantize_mve.h, as many. */
#ifndef EKWS_DEPTHWISE_S8_MVE_H
#define EKWS_DEPTHWISE_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

enum { EKWS_DEPTHWISE_MVE_BLOCK = 16 };

/* Bytes of one turned channel: the last window may be read beyond its end. */
EKWS_KERNEL int32_t ekws_depthwise_pitch_mve(ekws_conv_shape_t s) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16;
  return (s.out_width - 1) * s.stride_width * s.kernel_height + taps16;
}

/* rows, channels `first` .. + 15 -> turned (16, pitch): column by column, padding included. */
EKWS_KERNEL void ekws_depthwise_turn_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int8_t *turned) {
  const int32_t pitch = ekws_depthwise_pitch_mve(s), columns = (s.out_width - 1) * s.stride_width + s.kernel_width;
  const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)pitch);
  for (int32_t eight = 0; eight < EKWS_DEPTHWISE_MVE_BLOCK; eight += 8, turned += 8 * pitch) {
    const mve_pred16_t there = vctp16q((uint32_t)(s.in_channels > first + eight ? s.in_channels - first - eight : 0));
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      const int8_t *from = rows[ky] + first + eight;
      int8_t *to = turned + ky;
#pragma GCC unroll 8
      for (int32_t x = 0; x < columns; x++, to += s.kernel_height) {
        if (x < s.pad_left || x >= s.pad_left + s.in_width) {
          vstrbq_scatter_offset_s16(to, places, vdupq_n_s16((int16_t)s.in_zero));
        } else if (s.in_channels % EKWS_DEPTHWISE_MVE_BLOCK == 0) {
          vstrbq_scatter_offset_s16(to, places, vldrbq_s16(from));
          from += s.in_channels;
        } else {
          vstrbq_scatter_offset_s16(to, places, vldrbq_z_s16(from, there));
          from += s.in_channels;
        }
      }
    }
  }
}

EKWS_KERNEL void ekws_depthwise_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                       int8_t *out) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16, pitch = ekws_depthwise_pitch_mve(s);
  const int32_t blocks = (s.out_channels + EKWS_DEPTHWISE_MVE_BLOCK - 1) / EKWS_DEPTHWISE_MVE_BLOCK;
  const int8_t *w = weights->weights;
  const int32_t *columns = (const int32_t *)(const void *)(w + blocks * EKWS_DEPTHWISE_MVE_BLOCK * taps16);
  int32_t *const acc = scratch;
  int8_t *const turned = (int8_t *)scratch + 4 * EKWS_DEPTHWISE_MVE_BLOCK * s.out_width;
  for (int32_t first = 0; first < s.out_channels; first += EKWS_DEPTHWISE_MVE_BLOCK) {
    ekws_depthwise_turn_mve(s, rows, first, turned);
    const int8_t *window = turned;
    for (int32_t c = 0; c < EKWS_DEPTHWISE_MVE_BLOCK; c++, w += taps16, window += pitch) {
#pragma GCC unroll 5
      for (int32_t x = 0; x < s.out_width; x++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < taps16; k += 16) {
          sum = vmladavaq_s8(sum, vldrbq_s8(window + x * s.stride_width * s.kernel_height + k), vldrbq_s8(w + k));
        }
        acc[x * EKWS_DEPTHWISE_MVE_BLOCK + c] = sum;
      }
    }
    const int32_t left = s.out_channels - first;
    ekws_requantize_mve(acc, s.out_width, EKWS_DEPTHWISE_MVE_BLOCK, columns, left < EKWS_DEPTHWISE_MVE_BLOCK ? left : EKWS_DEPTHWISE_MVE_BLOCK,
                        s, out + first);
    columns += EKWS_DEPTHWISE_MVE_BLOCK / 4 * EKWS_MVE_COLUMNS;
  }
}

#endif
#endif
