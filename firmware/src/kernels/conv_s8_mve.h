/* Convolution of int8 rows with Helium (Cortex-M55): VMLADAV sums 16 products, for up to three pixels and two channels at a time.
 *
 * Weights: (channels / 4, 2, depth16 / 16, 2, 16) int8: channels 0 and 2 side by side, then 1 and 3, as they go into a vector. depth is
 * kernel_height kernel_width in_channels, with zeros up to a multiple of 16, and channels of zeros up to a multiple of 4. Then the columns of requantize_mve.h, zeros up to a multiple of 4 channels. */
#ifndef EKWS_CONV_S8_MVE_H
#define EKWS_CONV_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* 16 products of one pixel (acts moves on) with four channels, of two or three with two; "vmladav" starts sums, "vmladava" goes on with them.
 * Assembly, because GCC 12 otherwise loads everything first and spills it. */
#define EKWS_CONV_MVE_1(sum, access, a, w, v, a0, a1, a2, a3)                                                                 \
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\tvldrw.32 q2, [%[A]], #16\n\tvldrw.32 q1, [%[W]], #16\n\t"                     \
                   sum ".s8 %[A0], q2, q0\n\t" sum ".s8 %[A1], q2, q1\n\t"                                                   \
                   "vldrw.32 q0, [%[V]], #16\n\tvldrw.32 q1, [%[V]], #16\n\t"                                                \
                   sum ".s8 %[A2], q2, q0\n\t" sum ".s8 %[A3], q2, q1"                                                       \
                   : [A0] access(a0), [A1] access(a1), [A2] access(a2), [A3] access(a3), [W] "+r"(w), [V] "+r"(v),          \
                     [A] "+r"(a)                                                                                             \
                   :                                                                                                          \
                   : "q0", "q1", "q2", "memory")
#define EKWS_CONV_MVE_4(sum, access, a, b, w, a0, a1, b0, b1)                                                                 \
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\tvldrw.32 q2, [%[A]], #16\n\tvldrw.32 q1, [%[W]], #16\n\t"                     \
                   sum ".s8 %[A0], q2, q0\n\t" sum ".s8 %[A1], q2, q1\n\tvldrw.32 q2, [%[B]], #16\n\t"                       \
                   sum ".s8 %[B0], q2, q0\n\t" sum ".s8 %[B1], q2, q1"                                                       \
                   : [A0] access(a0), [A1] access(a1), [B0] access(b0), [B1] access(b1), [W] "+r"(w), [A] "+r"(a),          \
                     [B] "+r"(b)                                                                                             \
                   :                                                                                                          \
                   : "q0", "q1", "q2", "memory")
#define EKWS_CONV_MVE_6(sum, access, a, b, c, w, a0, a1, b0, b1, c0, c1)                                                      \
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\tvldrw.32 q2, [%[A]], #16\n\tvldrw.32 q1, [%[W]], #16\n\t"                     \
                   sum ".s8 %[A0], q2, q0\n\t" sum ".s8 %[A1], q2, q1\n\tvldrw.32 q2, [%[B]], #16\n\t"                       \
                   sum ".s8 %[B0], q2, q0\n\t" sum ".s8 %[B1], q2, q1\n\tvldrw.32 q2, [%[C]], #16\n\t"                       \
                   sum ".s8 %[C0], q2, q0\n\t" sum ".s8 %[C1], q2, q1"                                                       \
                   : [A0] access(a0), [A1] access(a1), [B0] access(b0), [B1] access(b1), [C0] access(c0), [C1] access(c1),    \
                     [W] "+r"(w), [A] "+r"(a), [B] "+r"(b), [C] "+r"(c)                                                   \
                   :                                                                                                          \
                   : "q0", "q1", "q2", "memory")

#define EKWS_CONV_MVE_DEEPER _Pragma("GCC unroll 7") for (int32_t k = 16; k < depth16; k += 16)

/* Channels n and n + 2 of two or three pixels, into lanes `lane` and `lane` + 2 of sums. */
#define EKWS_CONV_MVE_PAIR(lane)                                                             \
  {                                                                                          \
    int32_t a0, a1, b0 = 0, b1 = 0, c0 = 0, c1 = 0;                                          \
    const int8_t *a = acts, *b = acts + pitch, *c = acts + 2 * pitch;                                \
    if (pixels == 2) {                                                                \
      EKWS_CONV_MVE_4("vmladav", "=Te", a, b, w, a0, a1, b0, b1);                           \
      EKWS_CONV_MVE_DEEPER {                                                                 \
        EKWS_CONV_MVE_4("vmladava", "+Te", a, b, w, a0, a1, b0, b1);                        \
      }                                                                                      \
    } else {                                                                                 \
      EKWS_CONV_MVE_6("vmladav", "=Te", a, b, c, w, a0, a1, b0, b1, c0, c1);                \
      EKWS_CONV_MVE_DEEPER {                                                                 \
        EKWS_CONV_MVE_6("vmladava", "+Te", a, b, c, w, a0, a1, b0, b1, c0, c1);             \
      }                                                                                      \
    }                                                                                        \
    EKWS_MVE_LANES(sums[0], lane, a0, a1);                                                   \
    EKWS_MVE_LANES(sums[1], lane, b0, b1);                                                   \
    EKWS_MVE_LANES(sums[2], lane, c0, c1);                                                   \
  }

/* Four channels of one pixel. */
#define EKWS_CONV_MVE_SINGLE                                            \
  {                                                                     \
    int32_t a0, a1, a2, a3;                                             \
    const int8_t *a = acts, *v = w + 2 * depth16;                       \
    EKWS_CONV_MVE_1("vmladav", "=Te", a, w, v, a0, a1, a2, a3);        \
    EKWS_CONV_MVE_DEEPER {                                              \
      EKWS_CONV_MVE_1("vmladava", "+Te", a, w, v, a0, a1, a2, a3);     \
    }                                                                   \
    w = v;                                                              \
    EKWS_MVE_LANES(sums[0], 0, a0, a1);                                 \
    EKWS_MVE_LANES(sums[0], 1, a2, a3);                                 \
  }

/* acts: `pixels` (a literal, 1 .. 3) of depth16 bytes, `pitch` bytes apart, aligned to 4 -> out (pixels, channels). */
EKWS_KERNEL void ekws_conv_pixels_mve(int32_t pixels, const int8_t *acts, int32_t pitch, const int8_t *w, int32_t depth16,
                                      ekws_conv_shape_t s, int8_t *out) {
  const int32_t *columns = (const int32_t *)(const void *)(w + (s.out_channels + 3) / 4 * 4 * depth16);
  for (int32_t o = 0; o < s.out_channels; o += 4, columns += EKWS_MVE_COLUMNS) {
    int32x4_t sums[3] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    if (pixels == 1) {
      EKWS_CONV_MVE_SINGLE
    } else {
      EKWS_CONV_MVE_PAIR(0)
      EKWS_CONV_MVE_PAIR(1)
    }
    ekws_requantize_four_mve(sums, pixels, columns, o, s, out);
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
  const int in_place = s.kernel_height == 1 && s.kernel_width == 1 && s.pad_left == 0 && depth == depth16;
  if (in_place) {
    ekws_conv_pixels_mve(pixels, rows[0] + x * s.stride_width * s.in_channels, s.stride_width * s.in_channels, w, depth16, s,
                         out + x * s.out_channels);
  } else {
    for (int32_t p = 0; p < pixels; p++) {
      ekws_conv_patch_mve(s, rows, x + p, scratch + p * depth16);
    }
    ekws_conv_pixels_mve(pixels, scratch, depth16, w, depth16, s, out + x * s.out_channels);
  }
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
