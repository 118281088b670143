/* Depthwise convolution of int8 rows with Helium (Cortex-M55); multiplier 1, kernels of one column and up to 32 rows, as over time.
 *
 * VST4 interleaves four rows of sixteen channels: a channel gets one word of each four rows. Its window is then words at equal distances:
 * a gathering load takes four of them, and VMLADAV sums 16 products.
 *
 * Weights, for each eight channels: (8, rows16) int8 of channels 0 4 1 5 2 6 3 7, zeros up to a multiple of 16 rows, then the columns of
 * requantize_mve.h. */
#ifndef EKWS_DEPTHWISE_TALL_S8_MVE_H
#define EKWS_DEPTHWISE_TALL_S8_MVE_H

#include "depthwise_words_s8_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* Up to four rows, sixteen channels from `at` bytes on, of which `left` are there -> (16, 4). `height`: a literal. */
EKWS_KERNEL void ekws_tall_four_mve(int32_t height, ekws_conv_shape_t s, const int8_t *const *rows, int32_t at, int32_t left, int8_t *to) {
  const int8_t *from[4];
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; i++) {
    from[i] = rows[i < height ? i : 0] + at;
  }
  ekws_words_column_mve(height, s.in_channels, left, from, to);
}

/* The same for all rows -> (rows / 4, 16, 4). */
EKWS_KERNEL void ekws_tall_turn_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t at, int32_t left, int8_t *words) {
  const int32_t whole = s.kernel_height / 4 * 4;
#pragma GCC unroll 4
  for (int32_t ky = 0; ky < whole; ky += 4, words += EKWS_WORDS_MVE_PITCH) {
    ekws_tall_four_mve(4, s, rows + ky, at, left, words);
  }
  if (whole != s.kernel_height) {
    ekws_tall_four_mve(s.kernel_height % 4, s, rows + whole, at, left, words);
  }
}

/* Sixteen products of a channel, and sixteen more of a kernel of more than 16 rows. */
#define EKWS_TALL_MVE_SUM(channel, to)                                                                        \
  "vldrw.32 q0, [%[W]], #16\n\tvldrw.u32 q1, [%q[AT], #(4 * " #channel ")]\n\tvmladav.s8 " to ", q1, q0\n\t"       \
  ".if %c[H] > 16\n\tvldrw.32 q0, [%[W]], #16\n\tvldrw.u32 q1, [%q[AT], #(256 + 4 * " #channel ")]\n\t"        \
  "vmladava.s8 " to ", q1, q0\n\t.endif\n\t"

EKWS_KERNEL void ekws_depthwise_tall_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                            int8_t *out) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), EKWS_WORDS_MVE_PITCH);
  for (int32_t x = 0; x < s.out_width; x++) {
    const int8_t *w = weights->weights;
    for (int32_t first = 0; first < s.out_channels; first += 16) {
      const int32_t left = s.out_channels - first < 16 ? s.out_channels - first : 16;
      uint32x4_t at = vaddq_n_u32(places, (uint32_t)(uintptr_t)scratch);
      ekws_tall_turn_mve(s, rows, x * s.stride_width * s.in_channels + first, s.out_channels - first, scratch);
      for (const int8_t *const end = out + left; out != end; out += 8) {
        int32x4_t even[2], odd[2];
        __asm__ volatile(EKWS_TALL_MVE_SUM(0, "r0") EKWS_TALL_MVE_SUM(4, "r2") EKWS_TALL_MVE_SUM(1, "r4") EKWS_TALL_MVE_SUM(5, "r6")
                             EKWS_TALL_MVE_SUM(2, "r8") EKWS_TALL_MVE_SUM(6, "r10") EKWS_TALL_MVE_SUM(3, "r12") EKWS_TALL_MVE_SUM(7, "lr")
                         "vmov %q[E][2], %q[E][0], r0, r2\n\tvmov %q[O][2], %q[O][0], r4, r6\n\t"
                         "vmov %q[E][3], %q[E][1], r8, r10\n\tvmov %q[O][3], %q[O][1], r12, lr"
                         : [E] "=&w"(even[0]), [O] "=&w"(odd[0]), [W] "+r"(w)
                         : [AT] "w"(at), [H] "i"(s.kernel_height)
                         : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "memory");
        w = ekws_requantize_eight_mve(even, odd, 1, w, s, out, 0);
        at = vaddq_n_u32(at, 32);
      }
    }
  }
}

#endif
#endif
