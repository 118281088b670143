#include "fft.h"

#if !(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP) && !EKWS_FFT_VECTOR /* else fft_dsp.c, fft_vector.c */

#define POINTS (EKWS_FFT_SAMPLES / 2)
#define ONE 32767 /* Q15 */

typedef struct {
  int32_t re, im;
} complex_t;

static inline int32_t round_q15(int32_t product) { return (int16_t)((product + (1 << 14)) >> 15); }

/* p times Q15 `factor`: ONE / 4 or ONE / 2, each stage's share of the scaling by 1 / 512 */
static inline complex_t scaled(const int16_t *p, int32_t factor) {
  const complex_t r = {round_q15(p[0] * factor), round_q15(p[1] * factor)};
  return r;
}

/* value * (c, s) */
static inline complex_t rotated(complex_t value, int32_t c, int32_t s) {
  const complex_t r = {round_q15(value.re * c - value.im * s), round_q15(value.re * s + value.im * c)};
  return r;
}

static inline void store(int16_t *p, int32_t re, int32_t im) {
  p[0] = (int16_t)re;
  p[1] = (int16_t)im;
}

/* Radix 4: a, b, c, d are the rotated inputs. */
static inline void butterfly(int16_t *p, unsigned stride, complex_t a, complex_t b, complex_t c, complex_t d) {
  const complex_t ac = {a.re + c.re, a.im + c.im}, a_c = {a.re - c.re, a.im - c.im};
  const complex_t bd = {b.re + d.re, b.im + d.im}, b_d = {b.re - d.re, b.im - d.im};
  store(p, ac.re + bd.re, ac.im + bd.im);
  store(p + 2 * stride, a_c.re + b_d.im, a_c.im - b_d.re);
  store(p + 4 * stride, ac.re - bd.re, ac.im - bd.im);
  store(p + 6 * stride, a_c.re - b_d.im, a_c.im + b_d.re);
}

/* The first stage: rotations are by 1, and samples are scaled up. */
static void first_stage(int16_t *bins, unsigned shift) {
  const int32_t factor = (ONE / 4) * (1 << shift);
  for (int16_t *p = bins; p < bins + 2 * POINTS; p += 8) {
    butterfly(p, 1, scaled(p, factor), scaled(p + 2, factor), scaled(p + 4, factor), scaled(p + 6, factor));
  }
}

/* One decimation-in-time stage: groups of 4 * stride points. */
static void stage(int16_t *bins, const int16_t *twiddle, unsigned stride) {
  const unsigned step = EKWS_FFT_SAMPLES / (4 * stride);
  for (unsigned first = 0; first < POINTS; first += 4 * stride) {
    int16_t *p = bins + 2 * first;
    /* k = 0: the rotation is by 1. */
    butterfly(p, stride, scaled(p, ONE / 4), scaled(p + 2 * stride, ONE / 4), scaled(p + 4 * stride, ONE / 4), scaled(p + 6 * stride, ONE / 4));
    for (unsigned k = 1; k < stride; k++) {
      p += 2;
      const int16_t *w1 = twiddle + 2 * k * step, *w2 = twiddle + 4 * k * step, *w3 = twiddle + 6 * k * step;
      butterfly(p, stride, scaled(p, ONE / 4), rotated(scaled(p + 2 * stride, ONE / 4), w1[0], w1[1]),
                rotated(scaled(p + 4 * stride, ONE / 4), w2[0], w2[1]), rotated(scaled(p + 6 * stride, ONE / 4), w3[0], w3[1]));
    }
  }
}

/* Z, the transform of even + i odd samples, to X[k] = (E + W^k O) / 2 with E, O = Z[k] +- conj Z[256 - k], O divided by i. */
static void untangle(int16_t *bins, const int16_t *twiddle) {
  for (unsigned k = 1; k <= POINTS / 2; k++) {
    int16_t *low = bins + 2 * k, *high = bins + 2 * (POINTS - k);
    const complex_t z = scaled(low, ONE / 2);
    const complex_t mirror = {round_q15(high[0] * (ONE / 2)), round_q15(-high[1] * (ONE / 2))};
    const complex_t e = {(int16_t)(z.re + mirror.re), (int16_t)(z.im + mirror.im)};
    const complex_t difference = {(int16_t)(z.re - mirror.re), (int16_t)(z.im - mirror.im)};
    const complex_t o = rotated(difference, twiddle[2 * k + 1], -twiddle[2 * k]);
    store(low, (e.re + o.re) >> 1, (e.im + o.im) >> 1);
    store(high, (e.re - o.re) >> 1, (o.im - e.im) >> 1);
  }
}

void ekws_fft_real_s16(int16_t *bins, const int16_t *twiddle, unsigned shift) {
  first_stage(bins, shift);
  stage(bins, twiddle, 4);
  stage(bins, twiddle, 16);
  stage(bins, twiddle, 64);
  untangle(bins, twiddle);
}

#endif
