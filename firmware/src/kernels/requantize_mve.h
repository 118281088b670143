/* Requantisation of four or eight channels at a time with Helium (Cortex-M55), exactly as TFLite rounds; every shift n >= 1.
 *
 * Columns, after the weights that they belong to: for four channels bias, multiplier (int32 each), minus shift (int8 each); for eight the
 * same, each in the order 0 2 4 6 1 3 5 7: narrowing puts the odd channels back between the even ones. */
#ifndef EKWS_REQUANTIZE_MVE_H
#define EKWS_REQUANTIZE_MVE_H

#include "kernel.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

/* Else GCC computes every address in advance and keeps them all on the stack. */
#define EKWS_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* Bytes of columns. */
enum { EKWS_MVE_FOUR_COLUMNS = 36, EKWS_MVE_EIGHT_COLUMNS = 72 };

/* 16 bytes at an address that is a multiple of 4: offsets in the instruction reach four times as far as for bytes. */
EKWS_KERNEL int8x16_t ekws_load_mve(const int8_t *p) { return vreinterpretq_s8_s32(vldrwq_s32((const int32_t *)(const void *)p)); }

/* Two sums into lanes 0 and 2, which makes a vector; then into 1 and 3. */
#define EKWS_MVE_LANES_0(vector, low, high) __asm__("vmov %q0[2], %q0[0], %1, %2" : "=w"(vector) : "r"(low), "r"(high))
#define EKWS_MVE_LANES_1(vector, low, high) __asm__("vmov %q0[3], %q0[1], %1, %2" : "+w"(vector) : "r"(low), "r"(high))

/* Requantisation in one piece of assembly: GCC 12 computes an address for each column in advance, and copies vectors that it narrows.
 * A line for each vector that is there; %[W] walks through the columns, q0 and q1 are free. */
#define EKWS_MVE_IF(condition, text) ".if " condition "\n\t" text "\n\t.endif\n\t"
#define EKWS_MVE_BIAS(v) "vadd.i32 %q[" v "], %q[" v "], q0\n\t"
#define EKWS_MVE_MULTIPLY(v) "vqrdmulh.s32 %q[" v "], %q[" v "], q0\n\t"
/* Halves away from zero: ekws_rectifies tells where up gives the same bytes. */
#define EKWS_MVE_AWAY(v) EKWS_MVE_IF("%c[AWAY]", "vshr.s32 q1, %q[" v "], #31\n\tvadd.i32 %q[" v "], %q[" v "], q1")
#define EKWS_MVE_SHIFT(v) EKWS_MVE_AWAY(v) "vrshl.s32 %q[" v "], %q[" v "], q0\n\t"
#define EKWS_MVE_CLAMP(size, v) "vmax.s" size " %q[" v "], %q[" v "], q0\n\tvmin.s" size " %q[" v "], %q[" v "], q1"
#define EKWS_MVE_BOUNDS(size) EKWS_MVE_IF("%c[NARROW]", "vdup." size " q0, %[LOW]\n\tvdup." size " q1, %[HIGH]")
#define EKWS_MVE_CONSTANTS(s, pitch)                                                                                              \
  [AWAY] "i"(!ekws_rectifies(s)), [NARROW] "i"(s.low > -128 || s.high < 127), [ZERO] "r"(s.out_zero), [LOW] "r"(s.low),            \
      [HIGH] "r"(s.high), [PITCH] "rI"(pitch)

/* Four channels of a pixel, narrowed where they are. */
#define EKWS_MVE_STORE_4(v)                                                                                                       \
  "vadd.i32 %q[" v "], %q[" v "], %[ZERO]\n\t.if %c[NARROW]\n\t" EKWS_MVE_CLAMP("32", v) "\n\t.else\n\t"                        \
  "vqmovnb.s32 %q[" v "], %q[" v "]\n\tvqmovnb.s16 %q[" v "], %q[" v "]\n\t.endif\n\tvstrb.32 %q[" v "], [%[TO]]\n\t"
#define EKWS_MVE_NEXT "add %[TO], %[TO], %[PITCH]\n\t"
#define EKWS_MVE_ALL(part) /* of up to four pixels */                                                                             \
  part("S0") EKWS_MVE_IF("%c[PIXELS] > 1", part("S1")) EKWS_MVE_IF("%c[PIXELS] > 2", part("S2")) EKWS_MVE_IF("%c[PIXELS] > 3", part("S3"))

/* sums (4, 4): of `pixels` 1 .. 4, a literal, without bias -> the first `left`, if not all, of four channels of out (pixels, pitch).
 * Returns the end of the columns. Sums are lost. */
EKWS_KERNEL const int8_t *ekws_requantize_four_mve(int32x4_t *sums, int32_t pixels, const int8_t *columns, ekws_conv_shape_t s, int32_t left,
                                                   int8_t *out, int32_t pitch) {
  int8_t partial[16];
  int8_t *to = left < 4 ? partial : out;
  if (left < 4) { /* not vstrbq_p_s32: GCC 12 takes it for a whole store and drops those that seem to be overwritten */
    pitch = 4;
  }
#pragma GCC unroll 4
  for (int32_t p = pixels; p < 4; p++) {
    sums[p] = vuninitializedq_s32();
  }
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\t" EKWS_MVE_ALL(EKWS_MVE_BIAS) "vldrw.32 q0, [%[W]], #16\n\t" EKWS_MVE_ALL(EKWS_MVE_MULTIPLY)
                   "vldrb.s32 q0, [%[W]], #4\n\t" EKWS_MVE_ALL(EKWS_MVE_SHIFT) EKWS_MVE_BOUNDS("32")
                   EKWS_MVE_STORE_4("S0") EKWS_MVE_IF("%c[PIXELS] > 1", EKWS_MVE_NEXT EKWS_MVE_STORE_4("S1"))
                   EKWS_MVE_IF("%c[PIXELS] > 2", EKWS_MVE_NEXT EKWS_MVE_STORE_4("S2"))
                   EKWS_MVE_IF("%c[PIXELS] > 3", EKWS_MVE_NEXT EKWS_MVE_STORE_4("S3"))
                   : [S0] "+w"(sums[0]), [S1] "+w"(sums[1]), [S2] "+w"(sums[2]), [S3] "+w"(sums[3]), [W] "+l"(columns),
                     [TO] "+l"(to)
                   : [PIXELS] "i"(pixels), EKWS_MVE_CONSTANTS(s, pitch)
                   : "q0", "q1", "memory");
  if (left < 4) {
    for (int32_t p = 0; p < pixels; p++) {
      memcpy(out + p * s.out_channels, partial + 4 * p, (uint32_t)left);
    }
  }
  return columns;
}

/* Even and odd channels of a pixel: narrowing puts them side by side. */
#define EKWS_MVE_STORE_8(even, odd)                                                                                               \
  "vqmovnb.s32 %q[" even "], %q[" even "]\n\tvqmovnt.s32 %q[" even "], %q[" odd "]\n\t"                                           \
  "vqadd.s16 %q[" even "], %q[" even "], %[ZERO]\n\t.if %c[NARROW]\n\t" EKWS_MVE_CLAMP("16", even) "\n\t.else\n\t"               \
  "vqmovnb.s16 %q[" even "], %q[" even "]\n\t.endif\n\tvstrb.16 %q[" even "], [%[TO]]\n\t"
#define EKWS_MVE_BOTH(part, v) part(v "0") EKWS_MVE_IF("%c[PIXELS] > 1", part(v "1"))

/* Sums (2, 4) of even and odd channels, without bias, of `pixels` 1 or 2, a literal -> eight channels of out (pixels, pitch). Returns the
 * end of the columns. Sums are lost. */
EKWS_KERNEL const int8_t *ekws_requantize_eight_mve(int32x4_t *even, int32x4_t *odd, int32_t pixels, const int8_t *columns, ekws_conv_shape_t s,
                                                    int8_t *out, int32_t pitch) {
  if (pixels == 1) {
    even[1] = odd[1] = vuninitializedq_s32();
  }
  __asm__ volatile("vldrw.32 q0, [%[W]], #16\n\t" EKWS_MVE_BOTH(EKWS_MVE_BIAS, "E") "vldrw.32 q0, [%[W]], #16\n\t"
                   EKWS_MVE_BOTH(EKWS_MVE_BIAS, "O") "vldrw.32 q0, [%[W]], #16\n\t" EKWS_MVE_BOTH(EKWS_MVE_MULTIPLY, "E")
                   "vldrw.32 q0, [%[W]], #16\n\t" EKWS_MVE_BOTH(EKWS_MVE_MULTIPLY, "O") "vldrb.s32 q0, [%[W]], #4\n\t"
                   EKWS_MVE_BOTH(EKWS_MVE_SHIFT, "E") "vldrb.s32 q0, [%[W]], #4\n\t" EKWS_MVE_BOTH(EKWS_MVE_SHIFT, "O")
                   EKWS_MVE_BOUNDS("16") EKWS_MVE_STORE_8("E0", "O0") EKWS_MVE_IF("%c[PIXELS] > 1", EKWS_MVE_NEXT EKWS_MVE_STORE_8("E1", "O1"))
                   : [E0] "+w"(even[0]), [O0] "+w"(odd[0]), [E1] "+w"(even[1]), [O1] "+w"(odd[1]), [W] "+l"(columns),
                     [TO] "+l"(out)
                   : [PIXELS] "i"(pixels), EKWS_MVE_CONSTANTS(s, pitch)
                   : "q0", "q1", "memory");
  return columns;
}

#endif
#endif
