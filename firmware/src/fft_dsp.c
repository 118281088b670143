/* The transform of fft.c with DSP instructions: a complex number is one word (re lo, im hi), a rotation four instructions. */
#include "fft.h"
#include "kernels/dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && !(defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1))

#define POINTS (EKWS_FFT_SAMPLES / 2)
#define ONE 32767 /* Q15 */
#define HALF (1 << 14)

/* (x * (ONE / divisor) + HALF) >> 15 of both halves; doubled, so that the result is the upper half of the product. */
EKWS_DSP_INLINE uint32_t divided(uint32_t pair, int32_t divisor) {
  const uint32_t factor = (uint32_t)(2 * (ONE / divisor));
  const int32_t re = ekws_smlabb(pair, factor, 2 * HALF), im = ekws_smlatb(pair, factor, 2 * HALF);
  return ekws_pkhtb_asr16((uint32_t)im, (uint32_t)re);
}

EKWS_DSP_INLINE uint32_t rotated(uint32_t pair, uint32_t w) {
  const int32_t re = ekws_smlsd(pair, w, HALF), im = ekws_smladx(pair, w, HALF);
  return ekws_pkhbt_lsl1((uint32_t)(re >> 15), (uint32_t)im);
}

/* Sums wrap modulo 2^16, as storing int16 does in fft.c. */
EKWS_DSP_INLINE void butterfly(int16_t *p, unsigned stride, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const uint32_t ac = ekws_sadd16(a, c), a_c = ekws_ssub16(a, c);
  const uint32_t bd = ekws_sadd16(b, d), b_d = ekws_ssub16(b, d);
  ekws_store_pair(p, ekws_sadd16(ac, bd));
  ekws_store_pair(p + 4 * stride, ekws_ssub16(ac, bd));
  ekws_store_pair(p + 2 * stride, ekws_ssax(a_c, b_d));
  ekws_store_pair(p + 6 * stride, ekws_sasx(a_c, b_d));
}

EKWS_DSP_INLINE void plain_butterfly(int16_t *p, unsigned stride) {
  const uint32_t a = divided(ekws_load_pair(p), 4), c = divided(ekws_load_pair(p + 4 * stride), 4);
  const uint32_t b = divided(ekws_load_pair(p + 2 * stride), 4), d = divided(ekws_load_pair(p + 6 * stride), 4);
  butterfly(p, stride, a, b, c, d);
}

/* The same factor of Q15, scaled up by 2^shift: the upper half of a product of 32 and 16 bits, less the last bit, which rounds. */
EKWS_DSP_INLINE uint32_t scaled_up(uint32_t pair, int32_t factor) {
  const int32_t re = ekws_smlawb(factor, pair, 1), im = ekws_smlawt(factor, pair, 1);
  return ekws_pkhbt_lsl15((uint32_t)(re >> 1), (uint32_t)im);
}

static void first_stage(int16_t *bins, unsigned shift) {
  const int32_t factor = 4 * (ONE / 4) * (1 << shift);
  for (int16_t *p = bins; p < bins + 2 * POINTS; p += 8) {
    const uint32_t a = scaled_up(ekws_load_pair(p), factor), c = scaled_up(ekws_load_pair(p + 4), factor);
    const uint32_t b = scaled_up(ekws_load_pair(p + 2), factor), d = scaled_up(ekws_load_pair(p + 6), factor);
    butterfly(p, 1, a, b, c, d);
  }
}

EKWS_DSP_INLINE void rotated_butterfly(int16_t *p, unsigned stride, uint32_t w1, uint32_t w2, uint32_t w3) {
  const uint32_t b = rotated(divided(ekws_load_pair(p + 2 * stride), 4), w1);
  const uint32_t d = rotated(divided(ekws_load_pair(p + 6 * stride), 4), w3);
  const uint32_t c = rotated(divided(ekws_load_pair(p + 4 * stride), 4), w2);
  butterfly(p, stride, divided(ekws_load_pair(p), 4), b, c, d);
}

/* One column after the other, so that its twiddles are loaded once for all groups. */
EKWS_DSP_INLINE void stage(int16_t *bins, const int16_t *twiddle, unsigned stride) {
  const unsigned step = EKWS_FFT_SAMPLES / (4 * stride);
  const int16_t *const end = bins + 2 * POINTS;
  for (int16_t *p = bins; p < end; p += 8 * stride) {
    plain_butterfly(p, stride);
  }
  for (unsigned k = 1; k < stride; k++) {
    const uint32_t w1 = ekws_load_pair(twiddle + 2 * k * step), w2 = ekws_load_pair(twiddle + 4 * k * step);
    const uint32_t w3 = ekws_load_pair(twiddle + 6 * k * step);
    int16_t *p = bins + 2 * k;
    do {
      rotated_butterfly(p, stride, w1, w2, w3);
      p += 8 * stride;
    } while (p < end);
  }
}

/* One group: each butterfly has twiddles of its own. */
static void last_stage(int16_t *bins, const int16_t *twiddle) {
  plain_butterfly(bins, POINTS / 4);
  for (unsigned k = 4; k < POINTS; k += 4) {
    const int16_t *const w = twiddle + k;
    bins += 2;
    const uint32_t b = rotated(divided(ekws_load_pair(bins + POINTS / 2), 4), ekws_load_pair(w));
    const uint32_t d = rotated(divided(ekws_load_pair(bins + POINTS / 2 * 3), 4), ekws_load_pair(w + 2 * k));
    const uint32_t c = rotated(divided(ekws_load_pair(bins + POINTS), 4), ekws_load_pair(w + k));
    butterfly(bins, POINTS / 4, divided(ekws_load_pair(bins), 4), b, c, d);
  }
}

/* See fft.c. */
static void untangle(int16_t *bins, const int16_t *twiddle) {
  const uint32_t factor = 2 * (ONE / 2), minus = (uint32_t)-(2 * (ONE / 2));
  int16_t *low = bins + 2, *high = bins + 2 * (POINTS - 1);
  for (; low <= high; low += 2, high -= 2) {
    twiddle += 2;
    const uint32_t w = ekws_load_pair(twiddle), pair = ekws_load_pair(high);
    const int32_t re = ekws_smlabb(pair, factor, 2 * HALF), im = ekws_smlatb(pair, minus, 2 * HALF);
    const uint32_t mirror = ekws_pkhtb_asr16((uint32_t)im, (uint32_t)re);
    const uint32_t z = divided(ekws_load_pair(low), 2);
    const uint32_t e = ekws_sadd16(z, mirror), difference = ekws_ssub16(z, mirror);
    const int32_t o_re = ekws_smladx(difference, w, HALF) >> 15, o_im = HALF - ekws_smusd(difference, w);
    const uint32_t o = ekws_pkhbt_lsl1((uint32_t)o_re, (uint32_t)o_im);
    ekws_store_pair(low, ekws_shadd16(e, o));
    ekws_store_pair(high, ekws_pkhtb(ekws_shsub16(o, e), ekws_shsub16(e, o)));
  }
}

void ekws_fft_real_s16(int16_t *bins, const int16_t *twiddle, unsigned shift) {
  first_stage(bins, shift);
  stage(bins, twiddle, 4);
  stage(bins, twiddle, 16);
  last_stage(bins, twiddle);
  untangle(bins, twiddle);
}

#endif
