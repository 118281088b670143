/* Convolution of int8 rows for Cortex-M0 and M0+: no multiply-accumulate, eight low registers, loads with small offsets of unsigned bytes.
 *
 * Inputs and weights are therefore kept as x + 128 and w + 128, unsigned; sum (x w) is sum ((x + 128) (w + 128)) less 128 sum (x + 128),
 * which a pixel needs once, and less 128 sum w, which is in the bias. A loaded input serves four channels: 13 instructions for four products.
 *
 * Weights, for each four channels: bias - 128 sum w (4), multiplier (4), all int32; shift (4) int8; (depth8, 4) w + 128, where depth =
 * kernel_height kernel_width in_channels, up to a multiple of 8 with anything. */
#ifndef EKWS_CONV_S8_M0_H
#define EKWS_CONV_S8_M0_H

#include "requantize.h"

enum { EKWS_M0_COLUMNS_BYTES = 36 };

/* sums[i] += sum over k of acts[k] w[k][i]; end is a multiple of 8 bytes after acts. */
EKWS_NOINLINE void ekws_sum_four_m0(const uint8_t *acts, const uint8_t *end, const uint8_t *w, uint32_t *sums) {
  uint32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
#if defined(__ARM_ARCH_6M__)
  uint32_t x, t;
#define EKWS_M0_PRODUCT(sum, offset) "ldrb %[t], [%[w], #" offset "]\n\tmuls %[t], %[x]\n\tadd %[" sum "], %[t]\n\t"
#define EKWS_M0_STEP(at, a, b, c, d)                                                                     \
  "ldrb %[x], [%[acts], #" at "]\n\t" EKWS_M0_PRODUCT("s0", a) EKWS_M0_PRODUCT("s1", b) EKWS_M0_PRODUCT( \
      "s2", c) EKWS_M0_PRODUCT("s3", d)
  __asm__ volatile(
      ".syntax unified\n1:\n\t" EKWS_M0_STEP("0", "0", "1", "2", "3") EKWS_M0_STEP("1", "4", "5", "6", "7")
          EKWS_M0_STEP("2", "8", "9", "10", "11") EKWS_M0_STEP("3", "12", "13", "14", "15") EKWS_M0_STEP("4", "16", "17", "18", "19")
              EKWS_M0_STEP("5", "20", "21", "22", "23") EKWS_M0_STEP("6", "24", "25", "26", "27")
                  EKWS_M0_STEP("7", "28", "29", "30", "31") "adds %[acts], #8\n\tadds %[w], #32\n\tcmp %[acts], %[end]\n\tbne 1b"
      : [acts] "+l"(acts), [w] "+l"(w), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "=&l"(x), [t] "=&l"(t)
      : [end] "r"(end)
      : "cc", "memory");
#else
  for (; acts != end; acts++, w += 4) {
    const uint32_t x = *acts;
    s0 += x * w[0];
    s1 += x * w[1];
    s2 += x * w[2];
    s3 += x * w[3];
  }
#endif
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* count bytes plus 128 -> to; returns their sum. Words where both ends are aligned. */
EKWS_NOINLINE uint32_t ekws_take_m0(const int8_t *from, uint32_t count, uint8_t *to) {
  uint32_t sum = 0, pairs = 0;
  if ((((uintptr_t)from | (uintptr_t)to) & 3u) == 0) {
    for (; count >= 4; count -= 4, from += 4, to += 4) {
      const uint32_t word = *(const uint32_t *)(const void *)from ^ 0x80808080u;
      *(uint32_t *)(void *)to = word;
      pairs += (word & 0x00ff00ffu) + ((word >> 8) & 0x00ff00ffu);
      if ((count & 0xffu) < 4) { /* at the latest after 64 words: pairs hold 128 bytes each without overflow */
        sum += (pairs & 0xffffu) + (pairs >> 16);
        pairs = 0;
      }
    }
    sum += (pairs & 0xffffu) + (pairs >> 16);
  }
  for (; count > 0; count--) {
    const uint8_t value = (uint8_t)((uint8_t)*from++ ^ 0x80u);
    *to++ = value;
    sum += value;
  }
  return sum;
}

/* The inputs of output pixel x, plus 128, zeros beyond them; returns their sum. */
EKWS_KERNEL uint32_t ekws_conv_patch_m0(ekws_conv_shape_t s, const int8_t *const *rows, int32_t x, uint8_t *to) {
  const int32_t run = s.kernel_width * s.in_channels, first = x * s.stride_width - s.pad_left, depth = s.kernel_height * run;
  const int inside = s.dilation_width == 1 && first >= 0 && first + s.kernel_width <= s.in_width;
  uint32_t sum = 0;
  memset(to + depth, 0, (uint32_t)(-depth & 7));
  for (int32_t ky = 0; ky < s.kernel_height; ky++) {
    if (inside) {
      sum += ekws_take_m0(rows[ky] + first * s.in_channels, (uint32_t)run, to);
      to += run;
      continue;
    }
    for (int32_t kx = 0; kx < s.kernel_width; kx++, to += s.in_channels) {
      const int32_t column = first + kx * s.dilation_width;
      if (column >= 0 && column < s.in_width) {
        sum += ekws_take_m0(rows[ky] + column * s.in_channels, (uint32_t)s.in_channels, to);
      } else {
        memset(to, s.in_zero + 128, (uint32_t)s.in_channels);
        sum += (uint32_t)((s.in_zero + 128) * s.in_channels);
      }
    }
  }
  return sum;
}

EKWS_KERNEL void ekws_conv_s8_m0(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch, int8_t *out) {
  const int32_t depth8 = (s.kernel_height * s.kernel_width * s.in_channels + 7) / 8 * 8;
  uint8_t *const acts = (uint8_t *)scratch;
  for (int32_t x = 0; x < s.out_width; x++) {
    const uint32_t correction = ekws_conv_patch_m0(s, rows, x, acts) << 7;
    const uint8_t *group = (const uint8_t *)weights->weights;
    for (int32_t o = 0; o < s.out_channels; o += 4, group += EKWS_M0_COLUMNS_BYTES + 4 * depth8) {
      const int32_t *const columns = (const int32_t *)(const void *)group;
      const int8_t *const shift = (const int8_t *)(group + 32);
      uint32_t sums[4];
      for (int32_t i = 0; i < 4; i++) {
        sums[i] = (uint32_t)columns[i] - correction;
      }
      ekws_sum_four_m0(acts, acts + depth8, group + EKWS_M0_COLUMNS_BYTES, sums);
      for (int32_t i = 0; i < 4 && o + i < s.out_channels; i++) {
        *out++ = ekws_requantize((int32_t)sums[i], columns[4 + i], shift[i], s.shifts, s.out_zero, s.low, s.high);
      }
    }
  }
}

#endif
