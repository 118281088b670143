/* Convolution of int8 rows with Helium (Cortex-M55): VMLADAV sums 16 products, of two pixels with four channels or of one with eight.
 *
 * Weights: for each eight channels two quads, 0 4 1 5 and 2 6 3 7, then the columns of requantize_mve.h; for each four of those that are
 * left a quad 0 2 1 3 and its columns, with channels of zeros up to a multiple of 4. A quad is (depth16 / 16, 4, 16) int8; depth is
 * kernel_height kernel_width in_channels, with zeros up to a multiple of 16. In this order two sums go into a vector at once.
 *
 * Assembly repeats and leaves out lines by what the compiler knows: %c[...] are literals. */
#ifndef EKWS_CONV_S8_MVE_H
#define EKWS_CONV_S8_MVE_H

#include "requantize_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

/* Whole sums in one piece of assembly with registers of its choice: VMLADAV adds to even ones only, and GCC 12 runs out of them or spills.
 * Sums of the pixel at A: r0 r2 r4 r6, of the other: r8 r10 r12 lr. */
#define EKWS_CONV_MVE_STEP_2(sum, second)                                                         \
  "vldrw.32 q1, " second "\n\tvldrw.32 q0, [%[A]], #16\n\tvldrw.32 q2, [%[W]], #16\n\t"          \
  sum ".s8 r0, q0, q2\n\t" sum ".s8 r8, q1, q2\n\tvldrw.32 q2, [%[W]], #16\n\t"                  \
  sum ".s8 r2, q0, q2\n\t" sum ".s8 r10, q1, q2\n\tvldrw.32 q2, [%[W]], #16\n\t"                 \
  sum ".s8 r4, q0, q2\n\t" sum ".s8 r12, q1, q2\n\tvldrw.32 q2, [%[W]], #16\n\t"                 \
  sum ".s8 r6, q0, q2\n\t" sum ".s8 lr, q1, q2\n\t"
#define EKWS_CONV_MVE_STEP_1(sum)                                                                 \
  "vldrw.32 q0, [%[A]], #16\n\tvldrw.32 q1, [%[W]], #16\n\tvldrw.32 q2, [%[W]], #16\n\t"         \
  sum ".s8 r0, q0, q1\n\t" sum ".s8 r2, q0, q2\n\t"                                             \
  "vldrw.32 q1, [%[W]], #16\n\tvldrw.32 q2, [%[W]], #16\n\t"                                    \
  sum ".s8 r4, q0, q1\n\t" sum ".s8 r6, q0, q2\n\t"
#define EKWS_CONV_MVE_STEP_1_8(sum)                                                               \
  EKWS_CONV_MVE_STEP_1(sum)                                                                       \
  "vldrw.32 q1, [%[V]], #16\n\tvldrw.32 q2, [%[V]], #16\n\t"                                    \
  sum ".s8 r8, q0, q1\n\t" sum ".s8 r10, q0, q2\n\t"                                            \
  "vldrw.32 q1, [%[V]], #16\n\tvldrw.32 q2, [%[V]], #16\n\t"                                    \
  sum ".s8 r12, q0, q1\n\t" sum ".s8 lr, q0, q2\n\t"

/* GCC takes a line for an instruction: empty ones for what the assembler repeats. */
#define EKWS_CONV_MVE_ROOM "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"

/* A step that starts the sums, REST steps that go on, and LOOPS times four. */
#define EKWS_CONV_MVE_DEPTH(first, more)                                                                              \
  first ".rept %c[REST]\n\t" more ".endr\n\t.if %c[LOOPS]\n\tmovw %[N], #%c[LOOPS]\n1:\n\t.rept 4\n\t" more        \
        ".endr\n\tsubs %[N], %[N], #1\n\tbne 1b\n\t.endif\n\t"                                                      \
        EKWS_CONV_MVE_ROOM
#define EKWS_CONV_MVE_IMMEDIATES \
  [P] "i"(near ? pitch : 0), [REST] "i"(loops != 0 ? (depth16 / 16 - 1) % 4 : depth16 / 16 - 1), [LOOPS] "i"(loops)
#define EKWS_CONV_MVE_CLOBBERS "r0", "r2", "r4", "r6", "q0", "q1", "q2", "cc", "memory"
#define EKWS_CONV_MVE_QUAD(second, use, ...)                                                                               \
  __asm__ volatile(EKWS_CONV_MVE_DEPTH(EKWS_CONV_MVE_STEP_2("vmladav", second), EKWS_CONV_MVE_STEP_2("vmladava", second)) use    \
                   : __VA_ARGS__, [W] "+r"(w), [A] "+r"(a), [N] "=&r"(n)                                                   \
                   : EKWS_CONV_MVE_IMMEDIATES                                                                              \
                   : "r8", "r10", "r12", "lr", EKWS_CONV_MVE_CLOBBERS)

/* Loops only where all steps in a row would make much code. */
EKWS_KERNEL int32_t ekws_conv_loops_mve(int32_t depth16) { return depth16 > 128 ? (depth16 / 16 - 1) / 4 : 0; }

/* The sums of two pixels with a quad at *at, which moves on: into lanes 0 and 2 of new vectors, or 1 and 3 of those. `upper`: a literal. */
EKWS_KERNEL void ekws_conv_quad_mve(int upper, const int8_t *acts, int32_t pitch, const int8_t **at, int32_t depth16, int32x4_t *even,
                                    int32x4_t *odd) {
  const int near = pitch <= 508;
  const int32_t loops = ekws_conv_loops_mve(depth16);
  const int8_t *w = *at, *a = acts, *b = acts + pitch;
  int32_t n;
#define EKWS_CONV_MVE_LANES(high, low)                                                                                          \
  "vmov %q[E0][" high "], %q[E0][" low "], r0, r2\n\tvmov %q[O0][" high "], %q[O0][" low "], r4, r6\n\t"                        \
  "vmov %q[E1][" high "], %q[E1][" low "], r8, r10\n\tvmov %q[O1][" high "], %q[O1][" low "], r12, lr"
#define EKWS_CONV_MVE_VECTORS(access) [E0] access(even[0]), [O0] access(odd[0]), [E1] access(even[1]), [O1] access(odd[1])
  if (near && upper) {
    EKWS_CONV_MVE_QUAD("[%[A], %[P]]", EKWS_CONV_MVE_LANES("3", "1"), EKWS_CONV_MVE_VECTORS("+w"));
  } else if (near) {
    EKWS_CONV_MVE_QUAD("[%[A], %[P]]", EKWS_CONV_MVE_LANES("2", "0"), EKWS_CONV_MVE_VECTORS("=&w"));
  } else if (upper) {
    EKWS_CONV_MVE_QUAD("[%[B]], #16", EKWS_CONV_MVE_LANES("3", "1"), EKWS_CONV_MVE_VECTORS("+w"), [B] "+r"(b));
  } else {
    EKWS_CONV_MVE_QUAD("[%[B]], #16", EKWS_CONV_MVE_LANES("2", "0"), EKWS_CONV_MVE_VECTORS("=&w"), [B] "+r"(b));
  }
#undef EKWS_CONV_MVE_LANES
#undef EKWS_CONV_MVE_VECTORS
  *at = w;
}

/* Eight channels of one or two pixels -> out (pixels, channels). Returns where the next channels' weights are. */
EKWS_KERNEL const int8_t *ekws_conv_eight_mve(int32_t pixels, const int8_t *acts, int32_t pitch, const int8_t *w, int32_t depth16,
                                              ekws_conv_shape_t s, int8_t *out) {
  int32x4_t even[2], odd[2];
  if (pixels == 1) {
    const int near = 0;
    const int32_t loops = ekws_conv_loops_mve(depth16);
    const int8_t *a = acts, *v = w + 4 * depth16;
    int32_t n;
    __asm__ volatile(EKWS_CONV_MVE_DEPTH(EKWS_CONV_MVE_STEP_1_8("vmladav"), EKWS_CONV_MVE_STEP_1_8("vmladava"))
                     "vmov %q[E][2], %q[E][0], r0, r2\n\tvmov %q[O][2], %q[O][0], r4, r6\n\t"
                     "vmov %q[E][3], %q[E][1], r8, r10\n\tvmov %q[O][3], %q[O][1], r12, lr"
                     : [E] "=&w"(even[0]), [O] "=&w"(odd[0]), [W] "+r"(w), [V] "+r"(v), [A] "+r"(a), [N] "=&r"(n)
                     : EKWS_CONV_MVE_IMMEDIATES
                     : "r8", "r10", "r12", "lr", EKWS_CONV_MVE_CLOBBERS);
    w = v;
  } else {
    ekws_conv_quad_mve(0, acts, pitch, &w, depth16, even, odd);
    ekws_conv_quad_mve(1, acts, pitch, &w, depth16, even, odd);
  }
  return ekws_requantize_eight_mve(even, odd, pixels, w, s, out, s.out_channels);
}

/* The same for four channels, of which `left` are there. */
EKWS_KERNEL const int8_t *ekws_conv_four_mve(int32_t pixels, const int8_t *acts, int32_t pitch, const int8_t *w, int32_t depth16,
                                             ekws_conv_shape_t s, int32_t left, int8_t *out) {
  const int near = pixels > 1 && pitch <= 508;
  const int32_t loops = ekws_conv_loops_mve(depth16);
  const int8_t *a = acts, *b = acts + pitch;
  int32x4_t sums[4];
  int32_t n;
#define EKWS_CONV_MVE_FOUR "vmov %q[S0][2], %q[S0][0], r0, r2\n\tvmov %q[S0][3], %q[S0][1], r4, r6\n\t"
#define EKWS_CONV_MVE_FOURS EKWS_CONV_MVE_FOUR "vmov %q[S1][2], %q[S1][0], r8, r10\n\tvmov %q[S1][3], %q[S1][1], r12, lr"
  if (pixels == 1) {
    __asm__ volatile(EKWS_CONV_MVE_DEPTH(EKWS_CONV_MVE_STEP_1("vmladav"), EKWS_CONV_MVE_STEP_1("vmladava")) EKWS_CONV_MVE_FOUR
                     : [S0] "=&w"(sums[0]), [W] "+r"(w), [A] "+r"(a), [N] "=&r"(n)
                     : EKWS_CONV_MVE_IMMEDIATES
                     : EKWS_CONV_MVE_CLOBBERS);
  } else if (near) {
    EKWS_CONV_MVE_QUAD("[%[A], %[P]]", EKWS_CONV_MVE_FOURS, [S0] "=&w"(sums[0]), [S1] "=&w"(sums[1]));
  } else {
    EKWS_CONV_MVE_QUAD("[%[B]], #16", EKWS_CONV_MVE_FOURS, [S0] "=&w"(sums[0]), [S1] "=&w"(sums[1]), [B] "+r"(b));
  }
#undef EKWS_CONV_MVE_FOUR
#undef EKWS_CONV_MVE_FOURS
  return ekws_requantize_four_mve(sums, pixels, w, s, left, out, s.out_channels);
}

/* acts: `pixels` (1 or 2, a literal) of depth16 bytes, `pitch` bytes apart, aligned to 4 -> out (pixels, channels). */
EKWS_KERNEL void ekws_conv_pixels_mve(int32_t pixels, const int8_t *acts, int32_t pitch, const int8_t *w, int32_t depth16,
                                      ekws_conv_shape_t s, int8_t *out) {
  const int8_t *const end = out + s.out_channels / 8 * 8;
  for (; out != end; out += 8) {
    w = ekws_conv_eight_mve(pixels, acts, pitch, w, depth16, s, out);
  }
  for (int32_t left = s.out_channels % 8; left > 0; left -= 4, out += 4) {
    w = ekws_conv_four_mve(pixels, acts, pitch, w, depth16, s, left, out);
  }
}

/* Whether 16 bytes hold what an output reads of a row. */
EKWS_KERNEL int ekws_conv_is_short_mve(ekws_conv_shape_t s) {
  return s.kernel_width * s.in_channels <= 16 && s.kernel_height <= 16 && s.dilation_width == 1;
}

/* The inputs of output pixel `x`, gathered: a load of the bytes that are there and a store of 16 for each row. What is stored too much is
 * overwritten, meets weights of zero, or lies beyond depth16 in the scratch. */
EKWS_KERNEL void ekws_conv_short_patch_mve(ekws_conv_shape_t s, const int8_t *const *rows, int32_t x, int8_t *to) {
  const int32_t run = s.kernel_width * s.in_channels, first = (x * s.stride_width - s.pad_left) * s.in_channels;
  const int32_t left = s.in_width * s.in_channels - first, end = left < run ? left : run, begin = first < 0 ? -first : 0;
  const uint32_t there = end > begin ? (1u << end) - (1u << begin) : 0;
  const int8_t *from;
  __asm__ volatile("vmsr p0, %[THERE]\n\t.rept %c[H]\n\tldr %[FROM], [%[ROWS]], #4\n\tadd %[FROM], %[FROM], %[FIRST]\n\t"
                   "vpst\n\tvldrbt.8 q0, [%[FROM]]\n\tvpsel q0, q0, %q[ZEROS]\n\tvstrb.8 q0, [%[TO]], #%c[RUN]\n\t.endr\n\t"
                   EKWS_CONV_MVE_ROOM EKWS_CONV_MVE_ROOM
                   : [FROM] "=&r"(from), [ROWS] "+r"(rows), [TO] "+r"(to)
                   : [THERE] "r"(there), [FIRST] "r"(first), [ZEROS] "w"(vdupq_n_s8((int8_t)s.in_zero)), [H] "i"(s.kernel_height),
                     [RUN] "i"(run)
                   : "q0", "memory");
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
      if (ekws_conv_is_short_mve(s)) {
        ekws_conv_short_patch_mve(s, rows, x + p, scratch + p * depth16);
      } else {
        ekws_conv_patch_mve(s, rows, x + p, scratch + p * depth16);
      }
    }
    ekws_conv_pixels_mve(pixels, scratch, depth16, w, depth16, s, out + x * s.out_channels);
  }
}

EKWS_KERNEL void ekws_conv_s8_mve(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch, int8_t *out) {
  int32_t x = 0;
  for (; x + 2 <= s.out_width; x += 2) {
    ekws_conv_group_mve(2, s, rows, weights->weights, scratch, x, out);
  }
  if (x < s.out_width) {
    ekws_conv_group_mve(1, s, rows, weights->weights, scratch, x, out);
  }
}

#endif
#endif
