/* Depthwise convolution of int8 rows with DSP instructions (Cortex-M4, M7, M33); a multiple of 4 channels, multiplier 1.
 *
 * 3x3 with stride 1: rows 0 and 1 of a column become one word, so that one SMLAD serves two taps; row 2 stays in pairs of channels.
 * Any other kernel: four channels of a tap at a time.
 *
 * Weights, doubled like the biases, for each four channels. 3x3: for each channel (w00, w10) (w01, w11) (w02, w12), bias, (w20, w21) (w22, shift), multiplier, offset;
 * pairs are int16, the others int32. Other: 4 biases; for each tap int16 channels 0, 2, 1, 3; 4 times multiplier, offset, shift. */
#ifndef EKWS_DEPTHWISE_S8_DSP_H
#define EKWS_DEPTHWISE_S8_DSP_H

#include "kernel.h"
#include "requantize_dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

enum { EKWS_DEPTHWISE_WORDS = 8 /* of a 3x3 channel's weights */ };

/* Column x of a row of taps w0 w1 w2 meets the outputs x, x - 1 and x - 2, as far as there are `count` of them. */
EKWS_KERNEL void ekws_depthwise_both_dsp(int32_t *acc, int32_t count, int32_t x, uint32_t v, uint32_t w0, uint32_t w1, uint32_t w2) {
  if (x < count) {
    acc[x] = ekws_smlad(v, w0, acc[x]);
  }
  if (x >= 1 && x - 1 < count) {
    acc[x - 1] = ekws_smlad(v, w1, acc[x - 1]);
  }
  if (x >= 2) {
    acc[x - 2] = ekws_smlad(v, w2, acc[x - 2]);
  }
}

/* The same for half a word and taps w01 (lo and hi) and w2 (lo). */
EKWS_KERNEL void ekws_depthwise_half_dsp(int32_t *acc, int32_t count, int32_t x, int upper, uint32_t v, uint32_t w01, uint32_t w2) {
  if (x < count) {
    acc[x] = upper ? ekws_smlatb(v, w01, acc[x]) : ekws_smlabb(v, w01, acc[x]);
  }
  if (x >= 1 && x - 1 < count) {
    acc[x - 1] = upper ? ekws_smlatt(w01, v, acc[x - 1]) : ekws_smlatb(w01, v, acc[x - 1]);
  }
  if (x >= 2) {
    acc[x - 2] = upper ? ekws_smlatb(v, w2, acc[x - 2]) : ekws_smlabb(v, w2, acc[x - 2]);
  }
}

/* One channel of `count` output pixels, 1 .. 5, a literal; `upper`: the channel is in the upper halves of `third`. */
EKWS_KERNEL void ekws_depthwise_outputs_dsp(int32_t count, int rectified, int upper, const uint32_t *both, const uint32_t *third,
                                            const uint32_t *w, int32_t channels, int8_t *out) {
  uint32_t w0, w1, w2, w01, w2_shift, v0, v1, bias, multiplier, offset;
  int32_t acc[5];
  __asm__("" : "+r"(out)); /* else GCC keeps an address for each output, all of them on the stack */
  ekws_load_two(&w, &w0, &w1);
  ekws_load_two(&w, &w2, &bias);
#pragma GCC unroll 5
  for (int32_t i = 0; i < count; i++) {
    acc[i] = (int32_t)bias;
  }
#pragma GCC unroll 4
  for (int32_t x = 0; x + 1 < count + 2; x += 2) {
    ekws_load_two(&both, &v0, &v1);
    ekws_depthwise_both_dsp(acc, count, x, v0, w0, w1, w2);
    ekws_depthwise_both_dsp(acc, count, x + 1, v1, w0, w1, w2);
  }
  if (count % 2 != 0) {
    ekws_depthwise_both_dsp(acc, count, count + 1, both[0], w0, w1, w2);
  }
  ekws_load_two(&w, &w01, &w2_shift);
#pragma GCC unroll 4
  for (int32_t x = 0; x + 1 < count + 2; x += 2) {
    ekws_load_two(&third, &v0, &v1);
    ekws_depthwise_half_dsp(acc, count, x, upper, v0, w01, w2_shift);
    ekws_depthwise_half_dsp(acc, count, x + 1, upper, v1, w01, w2_shift);
  }
  if (count % 2 != 0) {
    ekws_depthwise_half_dsp(acc, count, count + 1, upper, third[0], w01, w2_shift);
  }
  ekws_load_two(&w, &multiplier, &offset);
  const uint32_t shift = w2_shift >> 16;
#pragma GCC unroll 5
  for (int32_t i = 0; i < count; i++, out += channels) {
    *out = ekws_requantize_dsp(rectified, acc[i], multiplier, offset, shift);
  }
}

/* Four channels; both (4, pitch), third (2, pitch) words; third holds channels 0 and 2, then 1 and 3. */
EKWS_KERNEL void ekws_depthwise_four_dsp(int32_t count, int rectified, const uint32_t *both, int32_t pitch, const uint32_t *w, int32_t channels,
                                         int8_t *out) {
  const uint32_t *const third = both + 4 * pitch;
  for (int32_t c = 0; c < 2; c++) {
    const uint32_t *const at = third + c * pitch;
    ekws_depthwise_outputs_dsp(count, rectified, 0, both + c * pitch, at, w + c * EKWS_DEPTHWISE_WORDS, channels, out + c);
    ekws_depthwise_outputs_dsp(count, rectified, 1, both + (c + 2) * pitch, at, w + (c + 2) * EKWS_DEPTHWISE_WORDS, channels, out + c + 2);
  }
}

/* One copy of each in a program, whatever the shapes. */
#define EKWS_DEPTHWISE_DSP(name, count, rectified)                                                                                        \
  __attribute__((noinline, unused)) static void name(const uint32_t *both, int32_t pitch, const uint32_t *w, int32_t channels, int8_t *out) { \
    ekws_depthwise_four_dsp(count, rectified, both, pitch, w, channels, out);                                                             \
  }
EKWS_DEPTHWISE_DSP(ekws_depthwise_1_dsp, 1, 0)
EKWS_DEPTHWISE_DSP(ekws_depthwise_2_dsp, 2, 0)
EKWS_DEPTHWISE_DSP(ekws_depthwise_3_dsp, 3, 0)
EKWS_DEPTHWISE_DSP(ekws_depthwise_4_dsp, 4, 0)
EKWS_DEPTHWISE_DSP(ekws_depthwise_5_dsp, 5, 0)
EKWS_DEPTHWISE_DSP(ekws_depthwise_1_rectified_dsp, 1, 1)
EKWS_DEPTHWISE_DSP(ekws_depthwise_2_rectified_dsp, 2, 1)
EKWS_DEPTHWISE_DSP(ekws_depthwise_3_rectified_dsp, 3, 1)
EKWS_DEPTHWISE_DSP(ekws_depthwise_4_rectified_dsp, 4, 1)
EKWS_DEPTHWISE_DSP(ekws_depthwise_5_rectified_dsp, 5, 1)

/* Four channels of `count` outputs, 1 .. 5; both arguments before the pointers are literals. */
EKWS_KERNEL void ekws_depthwise_some_dsp(int32_t count, int rectified, const uint32_t *both, int32_t pitch, const uint32_t *w, int32_t channels,
                                         int8_t *out) {
  switch (count) {
    case 1: (rectified ? ekws_depthwise_1_rectified_dsp : ekws_depthwise_1_dsp)(both, pitch, w, channels, out); break;
    case 2: (rectified ? ekws_depthwise_2_rectified_dsp : ekws_depthwise_2_dsp)(both, pitch, w, channels, out); break;
    case 3: (rectified ? ekws_depthwise_3_rectified_dsp : ekws_depthwise_3_dsp)(both, pitch, w, channels, out); break;
    case 4: (rectified ? ekws_depthwise_4_rectified_dsp : ekws_depthwise_4_dsp)(both, pitch, w, channels, out); break;
    default: (rectified ? ekws_depthwise_5_rectified_dsp : ekws_depthwise_5_dsp)(both, pitch, w, channels, out); break;
  }
}

/* Four channels of three rows, as the functions above take them. */
EKWS_KERNEL void ekws_depthwise_pair_dsp(ekws_conv_shape_t s, const int8_t *const *rows, int32_t channel, uint32_t *to, int32_t pitch) {
  const int8_t *const r0 = rows[0] + channel, *const r1 = rows[1] + channel, *const r2 = rows[2] + channel;
  for (int32_t i = 0; i < s.in_width * s.in_channels; i += s.in_channels, to++) {
    uint32_t a, b, c;
    memcpy(&a, r0 + i, 4);
    memcpy(&b, r1 + i, 4);
    memcpy(&c, r2 + i, 4);
    const uint32_t a_even = ekws_sxtb16(a), a_odd = ekws_sxtb16_odd(a), b_even = ekws_sxtb16(b), b_odd = ekws_sxtb16_odd(b);
    to[0] = ekws_pkhbt(a_even, b_even);
    to[pitch] = ekws_pkhbt(a_odd, b_odd);
    to[2 * pitch] = ekws_pkhtb_asr16(b_even, a_even);
    to[3 * pitch] = ekws_pkhtb_asr16(b_odd, a_odd);
    to[4 * pitch] = ekws_sxtb16(c);
    to[5 * pitch] = ekws_sxtb16_odd(c);
  }
}

EKWS_KERNEL void ekws_depthwise_3x3_dsp(ekws_conv_shape_t s, const int8_t *const *rows, const uint32_t *w, uint32_t *words, int8_t *out) {
  const int32_t columns = s.out_width + 2, whole = s.out_width / 5 * 5;
  const int rectified = ekws_rectifies(s);
  const uint32_t padding = (uint32_t)s.in_zero << 16 | (uint16_t)s.in_zero;
  for (int32_t c = 0; c < 6; c++) {
    for (int32_t x = 0; x < s.pad_left; x++) {
      words[c * columns + x] = padding;
    }
    for (int32_t x = s.pad_left + s.in_width; x < columns; x++) {
      words[c * columns + x] = padding;
    }
  }
  for (int32_t channel = 0; channel < s.out_channels; channel += 4, out += 4, w += 4 * EKWS_DEPTHWISE_WORDS) {
    ekws_depthwise_pair_dsp(s, rows, channel, words + s.pad_left, columns);
    for (int32_t x = 0; x < whole; x += 5) {
      ekws_depthwise_some_dsp(5, rectified, words + x, columns, w, s.out_channels, out + x * s.out_channels);
    }
    if (s.out_width != whole) {
      ekws_depthwise_some_dsp(s.out_width - whole, rectified, words + whole, columns, w, s.out_channels, out + whole * s.out_channels);
    }
  }
}

/* Any kernel: one tap of four channels. */
#define EKWS_DEPTHWISE_DSP_TAP(word)               \
  {                                                \
    uint32_t w_even, w_odd;                        \
    ekws_peek_two(w, &w_even, &w_odd);             \
    w += 2;                                        \
    const uint32_t even = ekws_sxtb16(word), odd = ekws_sxtb16_odd(word); \
    acc0 = ekws_smlabb(even, w_even, acc0);        \
    acc2 = ekws_smlatt(even, w_even, acc2);        \
    acc1 = ekws_smlabb(odd, w_odd, acc1);          \
    acc3 = ekws_smlatt(odd, w_odd, acc3);          \
  }

/* Any kernel: four channels of one pixel, whose first tap is in column `first`. */
EKWS_KERNEL void ekws_depthwise_pixel_dsp(ekws_conv_shape_t s, const int8_t *const *rows, int32_t first, int32_t channel, const uint32_t *w,
                                          int8_t *out) {
  const int rectified = ekws_rectifies(s);
  uint32_t bias0, bias1, bias2, bias3;
  ekws_load_two(&w, &bias0, &bias1);
  ekws_load_two(&w, &bias2, &bias3);
  int32_t acc0 = (int32_t)bias0, acc1 = (int32_t)bias1, acc2 = (int32_t)bias2, acc3 = (int32_t)bias3;
  const int inside = first >= 0 && first + (s.kernel_width - 1) * s.dilation_width < s.in_width;
  const int32_t at = first * s.in_channels + channel;
#pragma GCC unroll 16
  for (int32_t ky = 0; ky < s.kernel_height; ky++) {
    const int8_t *tap = rows[ky] + at;
    uint32_t word;
    if (inside) {
#pragma GCC unroll 5
      for (int32_t kx = 0; kx < s.kernel_width; kx++, tap += s.dilation_width * s.in_channels) {
        memcpy(&word, tap, 4);
        EKWS_DEPTHWISE_DSP_TAP(word)
      }
    } else {
      for (int32_t kx = 0, column = first; kx < s.kernel_width; kx++, column += s.dilation_width) {
        word = (uint8_t)s.in_zero * 0x01010101u;
        if (column >= 0 && column < s.in_width) {
          memcpy(&word, rows[ky] + column * s.in_channels + channel, 4);
        }
        EKWS_DEPTHWISE_DSP_TAP(word)
      }
    }
  }
  uint32_t m, o, n, m1;
  ekws_load_two(&w, &m, &o);
  ekws_load_two(&w, &n, &m1);
  out[0] = ekws_requantize_dsp(rectified, acc0, m, o, n);
  ekws_load_two(&w, &o, &n);
  out[1] = ekws_requantize_dsp(rectified, acc1, m1, o, n);
  ekws_load_two(&w, &m, &o);
  ekws_load_two(&w, &n, &m1);
  out[2] = ekws_requantize_dsp(rectified, acc2, m, o, n);
  ekws_load_two(&w, &o, &n);
  out[3] = ekws_requantize_dsp(rectified, acc3, m1, o, n);
}

EKWS_KERNEL void ekws_depthwise_s8_dsp(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch,
                                       int8_t *out) {
  const uint32_t *w = weights->weights;
  if (s.kernel_height == 3 && s.kernel_width == 3 && s.stride_width == 1 && s.dilation_width == 1) {
    ekws_depthwise_3x3_dsp(s, rows, w, scratch, out);
  } else {
    for (int32_t channel = 0; channel < s.out_channels; channel += 4) {
      for (int32_t x = 0; x < s.out_width; x++) {
        ekws_depthwise_pixel_dsp(s, rows, x * s.stride_width - s.pad_left, channel, w, out + x * s.out_channels + channel);
      }
      w += 16 + 2 * s.kernel_height * s.kernel_width;
    }
  }
  if (s.low > -128 || s.high < 127) {
    ekws_clamp_s8_dsp(out, s.out_width * s.out_channels, s.low, s.high);
  }
}

#endif
#endif
