/* Convolution of int8 rows with DSP instructions (Cortex-M4, M7, M33): pointwise, first layers, fully connected.
 *
 * Activations of up to three pixels are doubled and widened to int16 once; weights stay bytes and are widened in registers for all pixels and
 * for two channels at a time. Widening takes bytes 0 and 2, then 1 and 3: both sides in the same order, so their products fit.
 *
 * Weights, for each pair of output channels: 2 bias 0, 2 bias 1 | (depth / 4) (4 weights of channel 0, 4 of channel 1) |
 * multiplier, offset, shift of channel 0 | the same of channel 1; all int32 but the weights. depth is kernel_height times
 * kernel_width in_channels, that rounded up to 4 with weights of zero. An odd last channel has a partner of zeros. */
#ifndef EKWS_CONV_S8_DSP_H
#define EKWS_CONV_S8_DSP_H

#include "kernel.h"
#include "requantize_dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

/* Deeper than this, one pixel's activations are widened where they are used, without scratch. */
#define EKWS_CONV_DSP_DIRECT 256

/* One pixel times two channels, four deep. */
#define EKWS_CONV_DSP_STEP(acc0, acc1)     \
  ekws_load_two(&a, &x, &y);               \
  acc0 = ekws_smlad(x, even0, acc0);       \
  acc1 = ekws_smlad(x, even1, acc1);       \
  acc0 = ekws_smlad(y, odd0, acc0);        \
  acc1 = ekws_smlad(y, odd1, acc1);

#define EKWS_CONV_DSP_WEIGHTS(w)           \
  ekws_load_two(&w, &odd0, &odd1);         \
  const uint32_t even0 = ekws_sxtb16(odd0), even1 = ekws_sxtb16(odd1); \
  odd0 = ekws_sxtb16_odd(odd0);            \
  odd1 = ekws_sxtb16_odd(odd1);

/* acts (depth / 4, pixels, 4) int16 -> out (pixels, channels); pixels (1, 2 or 3) and rectified are literals. */
EKWS_KERNEL void ekws_conv_pixels_dsp(int32_t pixels, int rectified, const uint32_t *acts, const uint32_t *w, int32_t depth, int32_t channels,
                                      int8_t *out) {
  for (int32_t left = channels; left > 0; left -= 2, out += 2) {
    const uint32_t *a = acts;
    uint32_t bias0, bias1, x, y, odd0, odd1;
    ekws_load_two(&w, &bias0, &bias1);
    int32_t a0 = (int32_t)bias0, a1 = (int32_t)bias1, b0 = a0, b1 = a1, c0 = a0, c1 = a1;
#define EKWS_CONV_DSP_GROUP                          \
  {                                                  \
    EKWS_CONV_DSP_WEIGHTS(w)                         \
    EKWS_CONV_DSP_STEP(a0, a1)                       \
    if (pixels > 1) {                                \
      EKWS_CONV_DSP_STEP(b0, b1)                     \
    }                                                \
    if (pixels > 2) {                                \
      EKWS_CONV_DSP_STEP(c0, c1)                     \
    }                                                \
  }
    for (const uint32_t *const end = acts + depth / 16 * 8 * pixels; a != end;) {
      EKWS_CONV_DSP_GROUP EKWS_CONV_DSP_GROUP EKWS_CONV_DSP_GROUP EKWS_CONV_DSP_GROUP
    }
    for (const uint32_t *const end = acts + depth / 4 * 2 * pixels; a != end;) {
      EKWS_CONV_DSP_GROUP
    }
#undef EKWS_CONV_DSP_GROUP
    uint32_t m, o, n, m1;
    ekws_load_two(&w, &m, &o);
    ekws_load_two(&w, &n, &m1);
    out[0] = ekws_requantize_dsp(rectified, a0, m, o, n);
    if (pixels > 1) {
      out[channels] = ekws_requantize_dsp(rectified, b0, m, o, n);
    }
    if (pixels > 2) {
      out[2 * channels] = ekws_requantize_dsp(rectified, c0, m, o, n);
    }
    ekws_load_two(&w, &o, &n);
    if (left > 1) {
      out[1] = ekws_requantize_dsp(rectified, a1, m1, o, n);
      if (pixels > 1) {
        out[channels + 1] = ekws_requantize_dsp(rectified, b1, m1, o, n);
      }
      if (pixels > 2) {
        out[2 * channels + 1] = ekws_requantize_dsp(rectified, c1, m1, o, n);
      }
    }
  }
}

/* Two channels of one pixel; their columns at *w, which moves on. */
EKWS_KERNEL void ekws_conv_two_dsp(int rectified, int32_t acc0, int32_t acc1, const uint32_t **w, int8_t *out) {
  uint32_t m, o, n, m1;
  ekws_load_two(w, &m, &o);
  ekws_load_two(w, &n, &m1);
  out[0] = ekws_requantize_dsp(rectified, acc0, m, o, n);
  ekws_load_two(w, &o, &n);
  out[1] = ekws_requantize_dsp(rectified, acc1, m1, o, n);
}

/* One pixel times four channels: two pairs of weights side by side share its activations. Returns where the next four channels' weights are. */
EKWS_KERNEL const uint32_t *ekws_conv_four_dsp(int rectified, const uint32_t *a, const uint32_t *w, int32_t depth, int8_t *out) {
  const uint32_t *v = w + 8 + depth / 2, *const end = a + depth / 2;
  uint32_t bias0, bias1, x, y, odd0, odd1;
  ekws_load_two(&w, &bias0, &bias1);
  int32_t a0 = (int32_t)bias0, a1 = (int32_t)bias1;
  ekws_load_two(&v, &bias0, &bias1);
  int32_t a2 = (int32_t)bias0, a3 = (int32_t)bias1;
#define EKWS_CONV_DSP_FOUR                   \
  {                                          \
    ekws_load_two(&a, &x, &y);               \
    {                                        \
      EKWS_CONV_DSP_WEIGHTS(w)               \
      a0 = ekws_smlad(x, even0, a0);         \
      a1 = ekws_smlad(x, even1, a1);         \
      a0 = ekws_smlad(y, odd0, a0);          \
      a1 = ekws_smlad(y, odd1, a1);          \
    }                                        \
    {                                        \
      EKWS_CONV_DSP_WEIGHTS(v)               \
      a2 = ekws_smlad(x, even0, a2);         \
      a3 = ekws_smlad(x, even1, a3);         \
      a2 = ekws_smlad(y, odd0, a2);          \
      a3 = ekws_smlad(y, odd1, a3);          \
    }                                        \
  }
  for (const uint32_t *const most = end - depth / 4 % 8 * 2; a != most;) {
    EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR
    EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR EKWS_CONV_DSP_FOUR
  }
  while (a != end) {
    EKWS_CONV_DSP_FOUR
  }
#undef EKWS_CONV_DSP_FOUR
  ekws_conv_two_dsp(rectified, a0, a1, &w, out);
  ekws_conv_two_dsp(rectified, a2, a3, &v, out + 2);
  return v;
}

EKWS_KERNEL void ekws_conv_pixel_dsp(int rectified, const uint32_t *acts, const uint32_t *w, int32_t depth, int32_t channels, int8_t *out) {
  for (; channels >= 4; channels -= 4, out += 4) {
    w = ekws_conv_four_dsp(rectified, acts, w, depth, out);
  }
  ekws_conv_pixels_dsp(1, rectified, acts, w, depth, channels, out);
}

/* One copy of each in a program, whatever the shapes. */
#define EKWS_CONV_DSP(name, function, ...)                                                                                                \
  __attribute__((noinline, unused)) static void name(const uint32_t *acts, const uint32_t *w, int32_t depth, int32_t channels, int8_t *out) { \
    function(__VA_ARGS__, acts, w, depth, channels, out);                                                                                 \
  }
EKWS_CONV_DSP(ekws_conv_1_dsp, ekws_conv_pixel_dsp, 0)
EKWS_CONV_DSP(ekws_conv_2_dsp, ekws_conv_pixels_dsp, 2, 0)
EKWS_CONV_DSP(ekws_conv_3_dsp, ekws_conv_pixels_dsp, 3, 0)
EKWS_CONV_DSP(ekws_conv_1_rectified_dsp, ekws_conv_pixel_dsp, 1)
EKWS_CONV_DSP(ekws_conv_2_rectified_dsp, ekws_conv_pixels_dsp, 2, 1)
EKWS_CONV_DSP(ekws_conv_3_rectified_dsp, ekws_conv_pixels_dsp, 3, 1)

/* `pixels` is 1, 2 or 3. */
EKWS_KERNEL void ekws_conv_some_dsp(int32_t pixels, int rectified, const uint32_t *acts, const uint32_t *w, int32_t depth, int32_t channels,
                                    int8_t *out) {
  if (pixels == 3) {
    (rectified ? ekws_conv_3_rectified_dsp : ekws_conv_3_dsp)(acts, w, depth, channels, out);
  } else if (pixels == 2) {
    (rectified ? ekws_conv_2_rectified_dsp : ekws_conv_2_dsp)(acts, w, depth, channels, out);
  } else {
    (rectified ? ekws_conv_1_rectified_dsp : ekws_conv_1_dsp)(acts, w, depth, channels, out);
  }
}

/* Four bytes to int16, doubled: requantisation wants twice the sum. */
EKWS_KERNEL void ekws_widen_four_dsp(uint32_t word, uint32_t *to) {
  const uint32_t even = ekws_sxtb16(word), odd = ekws_sxtb16_odd(word);
  to[0] = ekws_sadd16(even, even);
  to[1] = ekws_sadd16(odd, odd);
}

/* `count` bytes to int16, two words for each four, `pitch` words between them; whatever fills the last four meets weights of zero. */
EKWS_KERNEL void ekws_widen_dsp(const int8_t *from, int32_t count, uint32_t *to, int32_t pitch) {
  uint32_t word;
  for (const int8_t *const end = from + count / 4 * 4; from != end; from += 4, to += pitch) {
    memcpy(&word, from, 4);
    ekws_widen_four_dsp(word, to);
  }
  if (count % 4 != 0) {
    word = 0;
    memcpy(&word, from, (uint32_t)(count % 4));
    ekws_widen_four_dsp(word, to);
  }
}

/* The inputs of output pixel `x`; `taps` holds one kernel row where a tap is padding or the kernel is dilated. */
EKWS_KERNEL void ekws_conv_patch_dsp(ekws_conv_shape_t s, const int8_t *const *rows, int32_t x, int8_t *taps, uint32_t *to, int32_t pitch) {
  const int32_t run = s.kernel_width * s.in_channels, first = x * s.stride_width - s.pad_left;
  const int inside = s.dilation_width == 1 && first >= 0 && first + s.kernel_width <= s.in_width;
  for (int32_t ky = 0; ky < s.kernel_height; ky++, to += (run + 3) / 4 * pitch) {
    if (inside) {
      ekws_widen_dsp(rows[ky] + first * s.in_channels, run, to, pitch);
      continue;
    }
    for (int32_t kx = 0; kx < s.kernel_width; kx++) {
      const int32_t column = first + kx * s.dilation_width;
      if (column >= 0 && column < s.in_width) {
        memcpy(taps + kx * s.in_channels, rows[ky] + column * s.in_channels, (uint32_t)s.in_channels);
      } else {
        memset(taps + kx * s.in_channels, s.in_zero, (uint32_t)s.in_channels);
      }
    }
    ekws_widen_dsp(taps, run, to, pitch);
  }
}

/* One output pixel straight from the rows, for very deep kernels. */
EKWS_KERNEL void ekws_conv_direct_dsp(ekws_conv_shape_t s, const int8_t *const *rows, const uint32_t *w, int8_t *out) {
  const int rectified = ekws_rectifies(s);
  const int32_t run = s.kernel_width * s.in_channels;
  for (int32_t o = 0; o < s.out_channels; o += 2) {
    uint32_t bias0, bias1, odd0, odd1;
    ekws_load_two(&w, &bias0, &bias1);
    int32_t a0 = 0, a1 = 0;
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      const int8_t *from = rows[ky];
      for (int32_t i = 0; i < run; i += 4, from += 4) {
        uint32_t word = 0;
        memcpy(&word, from, run % 4 != 0 && i + 4 > run ? (uint32_t)(run % 4) : 4u);
        EKWS_CONV_DSP_WEIGHTS(w)
        const uint32_t x = ekws_sxtb16(word), y = ekws_sxtb16_odd(word);
        a0 = ekws_smlad(y, odd0, ekws_smlad(x, even0, a0));
        a1 = ekws_smlad(y, odd1, ekws_smlad(x, even1, a1));
      }
    }
    a0 = (int32_t)bias0 + 2 * a0;
    a1 = (int32_t)bias1 + 2 * a1;
    if (o + 1 < s.out_channels) {
      ekws_conv_two_dsp(rectified, a0, a1, &w, out + o);
    } else {
      out[o] = ekws_requantize_dsp(rectified, a0, w[0], w[1], w[2]);
    }
  }
}

EKWS_KERNEL void ekws_conv_s8_dsp(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *weights, void *scratch, int8_t *out) {
  const int32_t depth = s.kernel_height * ((s.kernel_width * s.in_channels + 3) / 4 * 4);
  const uint32_t *const w = weights->weights;
  if (s.out_width == 1 && depth > EKWS_CONV_DSP_DIRECT && s.pad_left == 0 && s.dilation_width == 1) {
    ekws_conv_direct_dsp(s, rows, w, out);
  } else {
    /* Threes, and what is left in twos: 4 is 2 + 2. */
    const int32_t threes = s.out_width % 3 == 1 ? s.out_width / 3 - 1 : s.out_width / 3, rest = s.out_width == 1 ? 1 : 2;
    uint32_t *const acts = scratch;
    int8_t *const taps = (int8_t *)scratch + 2 * depth * (s.out_width < 3 ? s.out_width : 3);
    for (int32_t x = 0; x < s.out_width;) {
      const int32_t pixels = x < 3 * threes ? 3 : rest;
      for (int32_t p = 0; p < pixels; p++) {
        ekws_conv_patch_dsp(s, rows, x + p, taps, acts + 2 * p, 2 * pixels);
      }
      ekws_conv_some_dsp(pixels == 3 ? 3 : rest, ekws_rectifies(s), acts, w, depth, s.out_channels, out + x * s.out_channels);
      x += pixels;
    }
  }
  if (s.low > -128 || s.high < 127) {
    ekws_clamp_s8_dsp(out, s.out_width * s.out_channels, s.low, s.high);
  }
}

#endif
#endif
