/* Depthwise convolution of int8 rows with Helium (Cortex-M55); multiplier 1, kernels of at most 4 by 4.
 *
 * VST4 interleaves the rows of sixteen channels: of each column a channel gets one word, its taps from the first row to the last. The
 * window of an output is then up to four words at equal distances: one gathering load, and VMLADAV sums its products.
 *
 * Weights, for each four channels: (4, 4, 4) int8 of channels 0 2 1 3, column by column, zeros where there is no tap, then the columns of
 * requantize_mve.h. Channels of zeros up to a multiple of 4. */
#ifndef EKWS_DEPTHWISE_WORDS_S8_MVE_H
#define EKWS_DEPTHWISE_WORDS_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

enum { EKWS_WORDS_MVE_PITCH = 64 /* of a column of 16 channels */ };

/* `height` (1 .. 4, a literal) rows of a column, sixteen channels of which `left` are there -> (16, 4). The rows move on to the next column.
 * Assembly, because GCC 12 moves what it interleaves through memory. */
EKWS_KERNEL void ekws_words_column_mve(int32_t height, int32_t channels, int32_t left, const int8_t **rows, int8_t *to) {
#define EKWS_WORDS_MVE_ROW(n)                                                                                             \
  ".if %c[H] > " #n "\n\t.if %c[WHOLE]\n\tvldrw.32 q" #n ", [%[R" #n "]], #%c[C]\n\t.else\n\t"                            \
  "vpst\n\tvldrbt.8 q" #n ", [%[R" #n "]]\n\tadd %[R" #n "], %[R" #n "], %[CHANNELS]\n\t.endif\n\t.endif\n\t"
  __asm__ volatile(".if !%c[WHOLE]\n\tvctp.8 %[LEFT]\n\t.endif\n\t" EKWS_WORDS_MVE_ROW(0) EKWS_WORDS_MVE_ROW(1) EKWS_WORDS_MVE_ROW(2)
                       EKWS_WORDS_MVE_ROW(3) "vst40.8 {q0, q1, q2, q3}, [%[TO]]\n\tvst41.8 {q0, q1, q2, q3}, [%[TO]]\n\t"
                                             "vst42.8 {q0, q1, q2, q3}, [%[TO]]\n\tvst43.8 {q0, q1, q2, q3}, [%[TO]]"
                   : [R0] "+r"(rows[0]), [R1] "+r"(rows[1]), [R2] "+r"(rows[2]), [R3] "+r"(rows[3])
                   : [TO] "r"(to), [H] "i"(height), [WHOLE] "i"(channels % 16 == 0 && channels < 512), [C] "i"(channels % 512),
                     [CHANNELS] "r"(channels), [LEFT] "r"(left)
                   : "q0", "q1", "q2", "q3", "memory" /* and the predicate, which GCC 12 has no name for: nothing else here uses it */);
#undef EKWS_WORDS_MVE_ROW
}

/* rows, channels `first` .. + 15 -> words (columns, 16, 4), those of padding left out. */
EKWS_KERNEL void ekws_words_turn_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int8_t *words) {
  const int32_t reach = (s.out_width - 1) * s.stride_width + (s.kernel_width - 1) * s.dilation_width + 1 - s.pad_left;
  const int32_t columns = reach < s.in_width ? reach : s.in_width;
  const int8_t *from[4];
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; i++) {
    from[i] = rows[i < s.kernel_height ? i : 0] + first;
  }
  words += s.pad_left * EKWS_WORDS_MVE_PITCH;
#pragma GCC unroll 5
  for (int32_t x = 0; x < columns; x++, words += EKWS_WORDS_MVE_PITCH) {
    ekws_words_column_mve(s.kernel_height, s.in_channels, s.in_channels - first, from, words);
  }
}

/* Columns of padding from `begin` on, the same for all channels. */
EKWS_KERNEL void ekws_words_pad_mve(ekws_conv_shape_t s, int8_t *words, int32_t begin, int32_t end) {
  const int8x16_t zeros = vdupq_n_s8((int8_t)s.in_zero);
  for (int32_t i = begin * EKWS_WORDS_MVE_PITCH; i < end * EKWS_WORDS_MVE_PITCH; i += 16) {
    vstrbq_s8(words + i, zeros);
  }
}

/* Channels n and n + 2 of `pixels` outputs, into lanes n and n + 2 of sums. One piece of assembly, because VMLADAV wants even registers. */
#define EKWS_WORDS_MVE_WINDOW(channel, pixel, to)                                                                      \
  ".if %c[PIXELS] > " #pixel "\n\tvldrw.u32 q1, [%q[AT], #(%c[STEP] * " #pixel " + 4 * " #channel ")]\n\t"              \
  "vmladav.s8 " to ", q1, q0\n\t.endif\n\t"
#define EKWS_WORDS_MVE_LANES(pixel, high, low, r, t)                                                                   \
  ".if %c[PIXELS] > " #pixel "\n\tvmov %q[S" #pixel "][" #high "], %q[S" #pixel "][" #low "], " r ", " t "\n\t.endif\n\t"
#define EKWS_WORDS_MVE_PAIR(low, high, access)                                                                         \
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\t" EKWS_WORDS_MVE_WINDOW(low, 0, "r0") EKWS_WORDS_MVE_WINDOW(low, 1, "r2")        \
                       EKWS_WORDS_MVE_WINDOW(low, 2, "r4") EKWS_WORDS_MVE_WINDOW(low, 3, "r6") "vldrw.32 q0, [%[W]], #16\n\t"    \
                       EKWS_WORDS_MVE_WINDOW(high, 0, "r8") EKWS_WORDS_MVE_WINDOW(high, 1, "r10")                                 \
                       EKWS_WORDS_MVE_WINDOW(high, 2, "r12") EKWS_WORDS_MVE_WINDOW(high, 3, "lr")                                 \
                       EKWS_WORDS_MVE_LANES(0, high, low, "r0", "r8") EKWS_WORDS_MVE_LANES(1, high, low, "r2", "r10")             \
                       EKWS_WORDS_MVE_LANES(2, high, low, "r4", "r12") EKWS_WORDS_MVE_LANES(3, high, low, "r6", "lr")             \
                   : [S0] access(sums[0]), [S1] access(sums[1]), [S2] access(sums[2]), [S3] access(sums[3]), [W] "+r"(w)          \
                   : [AT] "w"(at), [PIXELS] "i"(pixels), [STEP] "i"(step)                                                         \
                   : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "memory")

/* Up to sixteen channels of `pixels` (1 .. 4, a literal) outputs; `words`: the first window. Returns where the next channels' weights are. */
EKWS_KERNEL const int8_t *ekws_words_pixels_mve(int32_t pixels, ekws_conv_shape_t s, const int8_t *words, const int8_t *w, int32_t left,
                                                int8_t *out) {
  const int32_t step = s.stride_width * EKWS_WORDS_MVE_PITCH;
  uint32x4_t at = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)(s.dilation_width * EKWS_WORDS_MVE_PITCH));
  at = vaddq_n_u32(at, (uint32_t)(uintptr_t)words);
  for (; left > 0; left -= 4, out += 4) {
    int32x4_t sums[4];
    EKWS_WORDS_MVE_PAIR(0, 2, "=&w");
    EKWS_WORDS_MVE_PAIR(1, 3, "+w");
    w = ekws_requantize_four_mve(sums, pixels, w, s, s.out_channels % 4 == 0 ? 4 : left, out, s.out_channels);
    at = vaddq_n_u32(at, 16);
  }
  return w;
}

EKWS_KERNEL void ekws_depthwise_words_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                             int8_t *out) {
  const int32_t step = s.stride_width * EKWS_WORDS_MVE_PITCH;
  const int32_t most = 3 * step + 12 < 512 ? 4 : 2, rest = s.out_width % most; /* offsets end at 508 */
  const int8_t *w = weights->weights;
  ekws_words_pad_mve(s, scratch, 0, s.pad_left);
  ekws_words_pad_mve(s, scratch, s.pad_left + s.in_width, (s.out_width - 1) * s.stride_width + (s.kernel_width - 1) * s.dilation_width + 1);
  for (int32_t first = 0; first < s.out_channels; first += 16, out += 16) {
    const int32_t left = s.out_channels - first < 16 ? s.out_channels - first : 16;
    const int8_t *words = scratch, *next = w;
    int8_t *to = out;
    ekws_words_turn_mve(s, rows, first, scratch);
    for (int32_t x = 0; x < s.out_width - rest; x += most, words += most * step, to += most * s.out_channels) {
      next = ekws_words_pixels_mve(most, s, words, w, left, to);
    }
    if (rest != 0) {
      next = ekws_words_pixels_mve(rest, s, words, w, left, to);
    }
    w = next;
  }
}

#endif
#endif
