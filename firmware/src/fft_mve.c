/* The transform of fft.c with Helium, four complex numbers in a vector. VQRDMULH is the rounded Q15 product of fft.c; VQRDMLSDH and
 * VQRDMLADHX are the real and imaginary parts of a rotation, rounded once. They saturate where fft.c wraps, which no input reaches: each
 * stage's factor, a little below its quotient, keeps more room than rounding takes. */
#include "fft.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

#define POINTS (EKWS_FFT_SAMPLES / 2)
#define ONE 32767 /* Q15 */

static inline int16x8_t load(const int16_t *p) { return vldrhq_s16(p); }

/* value * w, four times */
static inline int16x8_t rotated(int16x8_t value, int16x8_t w) {
  return vqrdmladhxq_s16(vqrdmlsdhq_s16(vuninitializedq_s16(), value, w), value, w);
}

typedef struct {
  int16x8_t a, b, c, d;
} quad_t;

/* Radix 4, four at a time. Sums wrap. */
static inline quad_t butterfly(quad_t in) {
  const int16x8_t ac = vaddq_s16(in.a, in.c), a_c = vsubq_s16(in.a, in.c);
  const int16x8_t bd = vaddq_s16(in.b, in.d), b_d = vsubq_s16(in.b, in.d);
  const quad_t out = {vaddq_s16(ac, bd), vcaddq_rot270_s16(a_c, b_d), vsubq_s16(ac, bd), vcaddq_rot90_s16(a_c, b_d)};
  return out;
}

/* Four groups of four points that lie side by side; samples are scaled up. */
static void first_stage(int16_t *bins, unsigned shift) {
  for (int16_t *p = bins; p < bins + 2 * POINTS; p += 32) {
    const int32x4x4_t points = vld4q_s32((const int32_t *)(const void *)p);
    int16x8_t in[4];
    for (unsigned i = 0; i < 4; i++) {
      in[i] = vqrdmulhq_n_s16(vshlq_r_s16(vreinterpretq_s16_s32(points.val[i]), (int32_t)shift), ONE / 4);
    }
    const quad_t quad = {in[0], in[1], in[2], in[3]}, sums = butterfly(quad);
    const int32x4x4_t out = {{vreinterpretq_s32_s16(sums.a), vreinterpretq_s32_s16(sums.b), vreinterpretq_s32_s16(sums.c),
                              vreinterpretq_s32_s16(sums.d)}};
    vst4q_s32((int32_t *)(void *)p, out);
  }
}

/* Places of four twiddles, `apart` twiddles from each other, as halfwords: re im re im .. */
static inline uint16x8_t places(unsigned apart) {
  const uint16x8_t lane = vidupq_n_u16(0, 1);
  return vaddq_u16(vmulq_n_u16(vshrq_n_u16(lane, 1), (uint16_t)(2 * apart)), vandq_u16(lane, vdupq_n_u16(1)));
}

/* Four columns after the other four. Column 0 is rotated by 32767 / 32768, which leaves |x| <= 2^14 as it is. */
static void stage(int16_t *bins, const int16_t *twiddle, unsigned stride) {
  const unsigned step = EKWS_FFT_SAMPLES / (4 * stride);
  const uint16x8_t at1 = places(step), at2 = places(2 * step), at3 = places(3 * step);
  for (unsigned k = 0; k < stride; k += 4) {
    const int16_t *const w = twiddle + 2 * k * step;
    const int16x8_t w1 = vldrhq_gather_shifted_offset_s16(w, at1);
    const int16x8_t w2 = vldrhq_gather_shifted_offset_s16(w + 2 * k * step, at2);
    const int16x8_t w3 = vldrhq_gather_shifted_offset_s16(w + 4 * k * step, at3);
    for (int16_t *p = bins + 2 * k; p < bins + 2 * POINTS; p += 8 * stride) {
      const quad_t in = {vqrdmulhq_n_s16(load(p), ONE / 4), rotated(vqrdmulhq_n_s16(load(p + 2 * stride), ONE / 4), w1),
                         rotated(vqrdmulhq_n_s16(load(p + 4 * stride), ONE / 4), w2),
                         rotated(vqrdmulhq_n_s16(load(p + 6 * stride), ONE / 4), w3)};
      const quad_t out = butterfly(in);
      vstrhq_s16(p, out.a);
      vstrhq_s16(p + 2 * stride, out.b);
      vstrhq_s16(p + 4 * stride, out.c);
      vstrhq_s16(p + 6 * stride, out.d);
    }
  }
}

/* See fft.c. Bins k .. k + 3 and their mirrors, from 256 - k downwards. */
static void untangle(int16_t *bins, const int16_t *twiddle) {
  const uint16x8_t lane = vidupq_n_u16(0, 1), one = vdupq_n_u16(1), odd = vandq_u16(lane, one);
  const mve_pred16_t odds = vcmpneq_n_u16(odd, 0); /* not a constant: GCC 12 folds those wrongly */
  const uint16x8_t swapped = veorq_u16(lane, one); /* im re im re .. */
  const uint16x8_t down = vsubq_u16(vaddq_n_u16(odd, 6), vbicq_u16(lane, one)); /* 6 7 4 5 2 3 0 1 */
  const int16x8_t sign = vsubq_s16(vdupq_n_s16(1), vreinterpretq_s16_u16(vaddq_u16(odd, odd))); /* 1 -1 1 -1 .. */
  int16_t *low = bins + 2, *high = bins + 2 * (POINTS - 4);
  for (; low < bins + POINTS + 2; low += 8, high -= 8) {
    twiddle += 2;
    const int16x8_t w = vmulq_s16(vldrhq_gather_shifted_offset_s16(twiddle, swapped), sign); /* (im, -re) */
    twiddle += 6;
    const int16x8_t z = vqrdmulhq_n_s16(load(low), ONE / 2);
    const int16x8_t mirror = vqrdmulhq_s16(vldrhq_gather_shifted_offset_s16(high, down), vmulq_n_s16(sign, ONE / 2));
    const int16x8_t e = vaddq_s16(z, mirror), o = rotated(vsubq_s16(z, mirror), w);
    vstrhq_s16(low, vhaddq_s16(e, o));
    /* The middle bin is its own mirror: the mirror's value stays, as in fft.c. */
    vstrhq_scatter_shifted_offset_s16(high, down, vhsubq_m_s16(vhsubq_s16(e, o), o, e, odds));
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
