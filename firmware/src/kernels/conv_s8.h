/* CONV_2D and FULLY_CONNECTED, portable: weights [out_channels][kernel_height][kernel_width][in_channels]. */
#ifndef EKWS_CONV_S8_H
#define EKWS_CONV_S8_H

#include "requantize.h"

/* Four outputs share each loaded input. */
EKWS_KERNEL void ekws_dot4_s8(const int8_t *q, const int8_t *w, int32_t pitch, int32_t n, int32_t *sums) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  const int8_t *w1 = w + pitch, *w2 = w1 + pitch, *w3 = w2 + pitch;
#if defined(__arm__) || (defined(__riscv) && __riscv_xlen == 32)
#pragma GCC unroll 8
#endif
  for (int32_t i = 0; i < n; i++) {
    const int32_t x = q[i];
    a += x * w[i];
    b += x * w1[i];
    c += x * w2[i];
    d += x * w3[i];
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

EKWS_KERNEL int32_t ekws_dot_s8(const int8_t *q, const int8_t *w, int32_t n, int32_t sum) {
  for (int32_t i = 0; i < n; i++) {
    sum += q[i] * w[i];
  }
  return sum;
}

/* `run` inputs of a kernel row lie side by side where nothing is padded and the taps touch: one long dot product. */
EKWS_KERNEL void ekws_conv_pixel_s8(ekws_conv_shape_t s, const int8_t *const *taps, int32_t runs, int32_t run, const ekws_weights_t *w,
                                    int8_t *out) {
  const int8_t *weights = (const int8_t *)w->weights;
  const int32_t pitch = runs * run;
  int32_t o = 0;
  for (; o + 4 <= s.out_channels; o += 4) {
    int32_t sums[4] = {w->bias[o], w->bias[o + 1], w->bias[o + 2], w->bias[o + 3]};
    for (int32_t t = 0; t < runs; t++) {
      ekws_dot4_s8(taps[t], weights + o * pitch + t * run, pitch, run, sums);
    }
    for (int32_t i = 0; i < 4; i++) {
      out[o + i] = ekws_requantize(sums[i], w->multiplier[o + i], w->shift[o + i], s.shifts, s.out_zero, s.low, s.high);
    }
  }
  for (; o < s.out_channels; o++) {
    int32_t sum = w->bias[o];
    for (int32_t t = 0; t < runs; t++) {
      sum = ekws_dot_s8(taps[t], weights + o * pitch + t * run, run, sum);
    }
    out[o] = ekws_requantize(sum, w->multiplier[o], w->shift[o], s.shifts, s.out_zero, s.low, s.high);
  }
}

/* `scratch`: in_channels bytes where the width is padded, else unused. */
EKWS_KERNEL void ekws_conv_s8(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out) {
  const int32_t reach = (s.out_width - 1) * s.stride_width - s.pad_left + (s.kernel_width - 1) * s.dilation_width;
  const int32_t padded = s.pad_left > 0 || reach >= s.in_width;
  const int8_t *taps[EKWS_MAX_TAPS];
  if (!padded && (s.dilation_width == 1 || s.kernel_width == 1)) {
    for (int32_t x = 0; x < s.out_width; x++) {
      for (int32_t ky = 0; ky < s.kernel_height; ky++) {
        taps[ky] = rows[ky] + x * s.stride_width * s.in_channels;
      }
      ekws_conv_pixel_s8(s, taps, s.kernel_height, s.kernel_width * s.in_channels, w, out + x * s.out_channels);
    }
    return;
  }
  int8_t *zeros = (int8_t *)scratch;
  if (padded) {
    memset(zeros, s.in_zero, (size_t)s.in_channels);
  }
  for (int32_t x = 0; x < s.out_width; x++) {
    const int8_t **tap = taps;
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      for (int32_t kx = 0; kx < s.kernel_width; kx++) {
        const int32_t at = x * s.stride_width - s.pad_left + kx * s.dilation_width;
        *tap++ = !padded || (at >= 0 && at < s.in_width) ? rows[ky] + at * s.in_channels : zeros;
      }
    }
    ekws_conv_pixel_s8(s, taps, s.kernel_height * s.kernel_width, s.in_channels, w, out + x * s.out_channels);
  }
}

#endif
