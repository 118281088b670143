/* Depthwise convolution of int8 rows on hosts: 8 channels and two taps at a time. Weights: vector.h, a tap of zeros making their number even. */
#ifndef EKWS_DEPTHWISE_S8_VECTOR_H
#define EKWS_DEPTHWISE_S8_VECTOR_H

#include "vector.h"

#if defined(__SSE2__) || defined(__aarch64__)
/* n <= 8 bytes in a register; not through memory, where a load would wait for narrower stores. */
EKWS_KERNEL uint64_t ekws_load_bytes(const int8_t *p, int32_t n) {
  uint64_t bytes = 0;
  if (n == 8) {
    memcpy(&bytes, p, 8);
    return bytes;
  }
  int32_t i = 0;
  if (n >= 4) {
    uint32_t four;
    memcpy(&four, p, 4);
    bytes = four;
    i = 4;
  }
  for (; i < n; i++) {
    bytes |= (uint64_t)(uint8_t)p[i] << (8 * i);
  }
  return bytes;
}
#endif

/* Two taps of the n <= 8 channels of a group. */
EKWS_KERNEL void ekws_depthwise_pair_vector(const int8_t *p, const int8_t *q, int32_t n, const int8_t *weights, ekws_v4_t *sums) {
#if defined(__SSE2__)
  const uint64_t a = ekws_load_bytes(p, n), b = ekws_load_bytes(q, n);
  const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)&a), y = _mm_loadl_epi64((const __m128i *)(const void *)&b);
  const __m128i both = _mm_unpacklo_epi8(x, y);
  sums[0] = ekws_v_dot2(sums[0], _mm_srai_epi16(_mm_unpacklo_epi8(both, both), 8), weights);
  sums[1] = ekws_v_dot2(sums[1], _mm_srai_epi16(_mm_unpackhi_epi8(both, both), 8), weights + 16);
#elif defined(__aarch64__)
  const int8x8x2_t both = vzip_s8(vcreate_s8(ekws_load_bytes(p, n)), vcreate_s8(ekws_load_bytes(q, n)));
  sums[0] = ekws_v_dot2(sums[0], vreinterpretq_s32_s16(vmovl_s8(both.val[0])), weights);
  sums[1] = ekws_v_dot2(sums[1], vreinterpretq_s32_s16(vmovl_s8(both.val[1])), weights + 16);
#else
  int16_t w[16];
  memcpy(w, weights, sizeof w);
#pragma GCC unroll 8
  for (int32_t i = 0; i < n; i++) {
    sums[i >> 2].lane[i & 3] += p[i] * w[2 * i] + q[i] * w[2 * i + 1];
  }
#endif
}

/* `scratch`: in_channels bytes where the width is padded, else unused. */
EKWS_KERNEL void ekws_depthwise_s8_vector(ekws_conv_shape_t s, const int8_t *const *rows, const ekws_weights_t *w, void *scratch, int8_t *out) {
  const int32_t reach = (s.out_width - 1) * s.stride_width - s.pad_left + (s.kernel_width - 1) * s.dilation_width;
  const int32_t padded = s.pad_left > 0 || reach >= s.in_width, count = s.kernel_height * s.kernel_width;
  const int8_t *taps[EKWS_MAX_TAPS + 1];
  int8_t *zeros = (int8_t *)scratch;
  if (padded) {
    memset(zeros, s.in_zero, (size_t)s.in_channels);
  }
  for (int32_t x = 0; x < s.out_width; x++, out += s.out_channels) {
    const int8_t **tap = taps;
    for (int32_t ky = 0; ky < s.kernel_height; ky++) {
      for (int32_t kx = 0; kx < s.kernel_width; kx++) {
        const int32_t at = x * s.stride_width - s.pad_left + kx * s.dilation_width;
        *tap++ = !padded || (at >= 0 && at < s.in_width) ? rows[ky] + at * s.in_channels : zeros;
      }
    }
    *tap = taps[0]; /* times zero where the number of taps is odd */
    const int8_t *group = (const int8_t *)w->weights;
    for (int32_t c = 0; c < s.out_channels; c += 8, group += EKWS_GROUP_COLUMNS + (count + 1) / 2 * EKWS_PAIR_BYTES) {
      const int32_t n = s.out_channels - c < 8 ? s.out_channels - c : 8;
      ekws_v4_t sums[2] = {ekws_v_load(group), ekws_v_load(group + 16)};
#pragma GCC unroll 9
      for (int32_t t = 0; t < count; t += 2) {
        ekws_depthwise_pair_vector(taps[t] + c, taps[t + 1] + c, n, group + EKWS_GROUP_COLUMNS + t / 2 * EKWS_PAIR_BYTES, sums);
      }
      ekws_v_requantize(sums, group, s, n, out + c);
    }
  }
}

#endif
