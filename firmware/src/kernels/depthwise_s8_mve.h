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

/* A window (at any address) of each of two channels with their taps. */
EKWS_KERNEL int32_t ekws_depthwise_sum_mve(const int8_t *window, const int8_t *w, int8x16_t first_taps, int32_t taps16) {
  int32_t sum = vmladavq_s8(vldrbq_s8(window), first_taps);
  for (int32_t k = 16; k < taps16; k += 16) {
    sum = vmladavaq_s8(sum, vldrbq_s8(window + k), ekws_load_mve(w + k));
  }
  return sum;
}

/* Four turned channels, `pixels` (1 .. 4, a literal) outputs. */
EKWS_KERNEL void ekws_depthwise_four_mve(int32_t pixels, ekws_conv_shape_t s, const int8_t *window, const int8_t *w, const int32_t *columns,
                                         int32_t o, int8_t *out) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16, pitch = ekws_depthwise_pitch_mve(s);
  const int32_t step = s.stride_width * s.kernel_height;
  int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
#define EKWS_DEPTHWISE_MVE_PAIR(lane)                                                                                 \
  {                                                                                                                   \
    const int8_t *low = window + lane * pitch, *high = low + 2 * pitch, *const w_low = w + lane * taps16, *const w_high = w_low + 2 * taps16; \
    const int8x16_t low_taps = ekws_load_mve(w_low), high_taps = ekws_load_mve(w_high);                               \
    EKWS_OPAQUE(low);                                                                                                 \
    EKWS_OPAQUE(high);                                                                                                \
    _Pragma("GCC unroll 4") for (int32_t p = 0; p < pixels; p++) {                                                    \
      const int32_t a = ekws_depthwise_sum_mve(low + p * step, w_low, low_taps, taps16);                              \
      const int32_t b = ekws_depthwise_sum_mve(high + p * step, w_high, high_taps, taps16);                           \
      EKWS_MVE_LANES(sums[p], lane, a, b);                                                                            \
    }                                                                                                                 \
  }
  EKWS_DEPTHWISE_MVE_PAIR(0)
  EKWS_DEPTHWISE_MVE_PAIR(1)
#undef EKWS_DEPTHWISE_MVE_PAIR
  ekws_requantize_four_mve(sums, pixels, columns, o, s, out);
}

EKWS_KERNEL void ekws_depthwise_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                       int8_t *out) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16, pitch = ekws_depthwise_pitch_mve(s);
  const int32_t padded = (s.out_channels + EKWS_DEPTHWISE_MVE_BLOCK - 1) / EKWS_DEPTHWISE_MVE_BLOCK * EKWS_DEPTHWISE_MVE_BLOCK;
  const int32_t step = s.stride_width * s.kernel_height;
  const int8_t *w = weights->weights;
  const int32_t *columns = (const int32_t *)(const void *)(w + padded * taps16);
  for (int32_t first = 0; first < s.out_channels; first += EKWS_DEPTHWISE_MVE_BLOCK) {
    ekws_depthwise_turn_mve(s, rows, first, scratch);
    const int8_t *window = scratch;
    const int32_t end = first + EKWS_DEPTHWISE_MVE_BLOCK < s.out_channels ? first + EKWS_DEPTHWISE_MVE_BLOCK : s.out_channels;
    for (int32_t o = first; o < end; o += 4, w += 4 * taps16, window += 4 * pitch, columns += EKWS_MVE_COLUMNS) {
      int32_t x = 0;
      for (; x + 4 <= s.out_width; x += 4) {
        ekws_depthwise_four_mve(4, s, window + x * step, w, columns, o, out + x * s.out_channels);
      }
      if (s.out_width % 4 != 0) {
        ekws_depthwise_four_mve(s.out_width % 4, s, window + x * step, w, columns, o, out + x * s.out_channels);
      }
    }
  }
}

#endif
#endif
