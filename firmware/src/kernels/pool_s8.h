/* AVERAGE_POOL_2D, MEAN and MAX_POOL_2D over rows and width, portable. */
#ifndef EKWS_POOL_S8_H
#define EKWS_POOL_S8_H

#include "requantize.h"

/* How a sum becomes an output; each is exactly one of TFLite's reference roundings. */
#define EKWS_MEAN_NEAREST 0 /* (sum +- count / 2) / count */
#define EKWS_MEAN_DIVIDED 1 /* the zero point off, scaled by a multiplier that holds the division */

typedef struct {
  int32_t in_width, out_width, channels;
  int32_t kernel_height, kernel_width, stride_width, pad_left;
  int32_t in_zero, out_zero, low, high;
  int32_t mode, multiplier, shift; /* DIVIDED: Q31 and right shift */
} ekws_pool_shape_t;

EKWS_KERNEL int32_t ekws_nearest(int32_t sum, int32_t count) { return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count; }

EKWS_KERNEL int8_t ekws_mean_s8(ekws_pool_shape_t s, int32_t sum, int32_t count) {
  int32_t mean;
  if (s.mode == EKWS_MEAN_NEAREST) {
    mean = ekws_nearest(sum, count);
  } else {
    mean = ekws_scale(sum - count * s.in_zero, s.multiplier, s.shift, EKWS_SHIFT_ANY) + s.out_zero;
  }
  return (int8_t)ekws_clamp(mean, s.low, s.high);
}

/* `valid` rows count; the others are zeros. */
EKWS_KERNEL void ekws_average_pool_s8(ekws_pool_shape_t s, const int8_t *const *rows, int32_t valid, int8_t *out) {
  for (int32_t x = 0; x < s.out_width; x++) {
    const int32_t start = x * s.stride_width - s.pad_left;
    const int32_t from = start < 0 ? 0 : start;
    const int32_t to = start + s.kernel_width < s.in_width ? start + s.kernel_width : s.in_width;
    for (int32_t c = 0; c < s.channels; c++) {
      int32_t sum = 0;
      for (int32_t ky = 0; ky < s.kernel_height; ky++) {
        for (int32_t i = from; i < to; i++) {
          sum += rows[ky][i * s.channels + c];
        }
      }
      *out++ = ekws_mean_s8(s, sum, (to - from) * valid);
    }
  }
}

/* The same of a window that slides: the sums go on from output to output. Each time `fresh` rows are new, the last ones, and as many leave.
 * Windows of `phases` different rows take turns. sums: how many have sums yet, (phases, out_width, channels); rows: all of them for a
 * window's first output, then only the new and the leaving. */
EKWS_KERNEL void ekws_sliding_mean_s8(ekws_pool_shape_t s, int32_t fresh, int32_t phases, const int8_t *const *rows, int32_t *sums, int8_t *out) {
  const int32_t begun = sums[0] >= phases;
  int32_t *kept = sums + 1 + (begun ? sums[0] - phases : sums[0]) * s.out_width * s.channels;
  sums[0] = sums[0] + 1 < 2 * phases ? sums[0] + 1 : phases;
  for (int32_t x = 0; x < s.out_width; x++) {
    const int32_t start = x * s.stride_width - s.pad_left;
    const int32_t from = start < 0 ? 0 : start;
    const int32_t to = start + s.kernel_width < s.in_width ? start + s.kernel_width : s.in_width;
    for (int32_t c = 0; c < s.channels; c++) {
      int32_t sum = begun ? *kept : 0;
      for (int32_t ky = begun ? s.kernel_height - fresh : 0; ky < s.kernel_height; ky++) {
        for (int32_t i = from; i < to; i++) {
          sum += rows[ky][i * s.channels + c];
        }
      }
      *out++ = ekws_mean_s8(s, sum, (to - from) * s.kernel_height);
      for (int32_t ky = 0; ky < fresh; ky++) {
        for (int32_t i = from; i < to; i++) {
          sum -= rows[ky][i * s.channels + c];
        }
      }
      *kept++ = sum;
    }
  }
}

/* The same over the full width and all rows, a row at a time: sums (channels). */
EKWS_KERNEL void ekws_sum_row_s8(ekws_pool_shape_t s, const int8_t *row, int32_t *sums) {
  for (int32_t c = 0; c < s.channels; c++) {
    int32_t sum = sums[c];
#pragma GCC unroll 8
    for (int32_t x = 0; x < s.in_width; x++) {
      sum += row[x * s.channels + c];
    }
    sums[c] = sum;
  }
}

EKWS_KERNEL void ekws_sum_finish_s8(ekws_pool_shape_t s, const int32_t *sums, int32_t rows, int8_t *out) {
  for (int32_t c = 0; c < s.channels; c++) {
    out[c] = ekws_mean_s8(s, sums[c], rows * s.in_width);
  }
}

EKWS_KERNEL void ekws_max_pool_s8(ekws_pool_shape_t s, const int8_t *const *rows, int8_t *out) {
  for (int32_t x = 0; x < s.out_width; x++) {
    const int32_t start = x * s.stride_width - s.pad_left;
    const int32_t from = start < 0 ? 0 : start;
    const int32_t to = start + s.kernel_width < s.in_width ? start + s.kernel_width : s.in_width;
    for (int32_t c = 0; c < s.channels; c++) {
      int32_t most = s.low;
      for (int32_t ky = 0; ky < s.kernel_height; ky++) {
        for (int32_t i = from; i < to; i++) {
          const int32_t q = rows[ky][i * s.channels + c];
          most = q > most ? q : most;
        }
      }
      *out++ = (int8_t)(most < s.high ? most : s.high);
    }
  }
}

#endif
