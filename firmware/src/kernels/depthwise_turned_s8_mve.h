/* Depthwise convolution of int8 rows with Helium (Cortex-M55); multiplier 1, no dilation, several columns.
 *
 * Sixteen channels at a time are turned so that a channel's columns lie one after the other, each from its first tap row to its last:
 * the window of an output is then one run of bytes, and VMLADAV sums 16 of its products.
 *
 * Weights: (channels, taps16) int8, a channel's taps column by column, zeros up to a multiple of 16; channels of zeros up to a
 * multiple of 16. Then the columns of requantize_mve.h, as many. */
#ifndef EKWS_DEPTHWISE_TURNED_S8_MVE_H
#define EKWS_DEPTHWISE_TURNED_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

enum { EKWS_TURNED_MVE_BLOCK = 16 };

/* Bytes of one turned channel: the last window may be read beyond its end. */
EKWS_KERNEL int32_t ekws_turned_pitch_mve(ekws_conv_shape_t s) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16;
  return (s.out_width - 1) * s.stride_width * s.kernel_height + taps16;
}

/* The columns of padding, the same for every block of channels. */
EKWS_KERNEL void ekws_turned_pad_mve(ekws_conv_shape_t s, int8_t *turned) {
  const int32_t pitch = ekws_turned_pitch_mve(s), columns = (s.out_width - 1) * s.stride_width + s.kernel_width;
  const int32_t left = s.pad_left * s.kernel_height, right = left + s.in_width * s.kernel_height, end = columns * s.kernel_height;
  for (int32_t c = 0; c < EKWS_TURNED_MVE_BLOCK && (left > 0 || end > right); c++, turned += pitch) {
    memset(turned, s.in_zero, (uint32_t)left);
    if (end > right) {
      memset(turned + right, s.in_zero, (uint32_t)(end - right));
    }
  }
}

/* rows, channels `first` .. + 15 -> turned (16, pitch): column by column. */
EKWS_KERNEL void ekws_turned_turn_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int8_t *turned) {
  const int32_t pitch = ekws_turned_pitch_mve(s), needed = (s.out_width - 1) * s.stride_width + s.kernel_width - s.pad_left;
  const int32_t columns = needed < s.in_width ? needed : s.in_width;
  const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)pitch);
  for (int32_t eight = 0; eight < EKWS_TURNED_MVE_BLOCK; eight += 8, turned += 8 * pitch) {
    const mve_pred16_t there = vctp16q((uint32_t)(s.in_channels > first + eight ? s.in_channels - first - eight : 0));
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      const int8_t *from = rows[ky] + first + eight;
      int8_t *to = turned + s.pad_left * s.kernel_height + ky;
#pragma GCC unroll 8
      for (int32_t x = 0; x < columns; x++) {
        EKWS_OPAQUE(from);
        EKWS_OPAQUE(to);
        if (s.in_channels % EKWS_TURNED_MVE_BLOCK == 0) {
          vstrbq_scatter_offset_s16(to, places, vldrbq_s16(from));
        } else {
          vstrbq_scatter_offset_s16(to, places, vldrbq_z_s16(from, there));
        }
        from += s.in_channels;
        to += s.kernel_height;
      }
    }
  }
}

/* A window (at any address) of each of two channels with their taps; the windows move on. Assembly, because GCC 12 otherwise computes
 * every address in advance and spills it. */
#define EKWS_TURNED_MVE_SUMS(a, b, low, high, low_taps, high_taps, step)                                              \
  __asm__ volatile("vldrb.8 q0, [%[L]], %[S]\n\tvldrb.8 q1, [%[H]], %[S]\n\t"                                            \
                   "vmladav.s8 %[A], q0, %q[LT]\n\tvmladav.s8 %[B], q1, %q[HT]"                                          \
                   : [A] "=&Te"(a), [B] "=&Te"(b), [L] "+&r"(low), [H] "+&r"(high)                                       \
                   : [LT] "w"(low_taps), [HT] "w"(high_taps), [S] "i"(step)                                              \
                   : "q0", "q1", "memory")

/* The 16 taps and inputs from `at` on, more than the first 16. */
EKWS_KERNEL int32_t ekws_turned_more_mve(int32_t sum, const int8_t *window, const int8_t *w, int32_t taps16) {
  for (int32_t k = 16; k < taps16; k += 16) {
    sum = vmladavaq_s8(sum, vldrbq_s8(window + k), ekws_load_mve(w + k));
  }
  return sum;
}

/* Four turned channels, `pixels` (1 .. 4, a literal) outputs. */
EKWS_KERNEL void ekws_turned_four_mve(int32_t pixels, ekws_conv_shape_t s, const int8_t *window, const int8_t *w, const int8_t *columns,
                                      int32_t left, int8_t *out) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16, pitch = ekws_turned_pitch_mve(s);
  const int32_t step = s.stride_width * s.kernel_height;
  int32x4_t sums[4];
#define EKWS_TURNED_MVE_PAIR(lane)                                                                    \
  {                                                                                                      \
    const int8_t *low = window + lane * pitch, *high = low + 2 * pitch;                                  \
    const int8_t *const w_low = w + lane * taps16, *const w_high = w_low + 2 * taps16;                   \
    const int8x16_t low_taps = ekws_load_mve(w_low), high_taps = ekws_load_mve(w_high);                  \
    _Pragma("GCC unroll 4") for (int32_t p = 0; p < pixels; p++) {                                       \
      int32_t a, b;                                                                                      \
      EKWS_TURNED_MVE_SUMS(a, b, low, high, low_taps, high_taps, step < 128 ? step : 0);              \
      low += step < 128 ? 0 : step;                                                                      \
      high += step < 128 ? 0 : step;                                                                     \
      if (taps16 > 16) {                                                                                 \
        a = ekws_turned_more_mve(a, low - step, w_low, taps16);                                       \
        b = ekws_turned_more_mve(b, high - step, w_high, taps16);                                     \
      }                                                                                                  \
      EKWS_MVE_LANES_##lane(sums[p], a, b);                                                               \
    }                                                                                                    \
  }
  EKWS_TURNED_MVE_PAIR(0)
  EKWS_TURNED_MVE_PAIR(1)
#undef EKWS_TURNED_MVE_PAIR
  ekws_requantize_four_mve(sums, pixels, columns, s, left, out, s.out_channels);
}

EKWS_KERNEL void ekws_depthwise_turned_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                       int8_t *out) {
  const int32_t taps16 = (s.kernel_height * s.kernel_width + 15) / 16 * 16, pitch = ekws_turned_pitch_mve(s);
  const int32_t padded = (s.out_channels + EKWS_TURNED_MVE_BLOCK - 1) / EKWS_TURNED_MVE_BLOCK * EKWS_TURNED_MVE_BLOCK;
  const int32_t step = s.stride_width * s.kernel_height;
  const int8_t *w = weights->weights;
  const int8_t *columns = w + padded * taps16;
  ekws_turned_pad_mve(s, scratch);
  for (int32_t first = 0; first < s.out_channels; first += EKWS_TURNED_MVE_BLOCK) {
    ekws_turned_turn_mve(s, rows, first, scratch);
    const int8_t *window = scratch;
    const int32_t end = first + EKWS_TURNED_MVE_BLOCK < s.out_channels ? first + EKWS_TURNED_MVE_BLOCK : s.out_channels;
    for (int32_t o = first; o < end; o += 4, w += 4 * taps16, window += 4 * pitch, columns += EKWS_MVE_FOUR_COLUMNS) {
      int32_t x = 0;
      for (; x + 4 <= s.out_width; x += 4) {
        ekws_turned_four_mve(4, s, window + x * step, w, columns, s.out_channels - o, out + x * s.out_channels + o);
      }
      if (s.out_width % 4 != 0) {
        ekws_turned_four_mve(s.out_width % 4, s, window + x * step, w, columns, s.out_channels - o, out + x * s.out_channels + o);
      }
    }
  }
}

#endif
#endif
