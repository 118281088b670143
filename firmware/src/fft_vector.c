/* The transform of fft.c four complex points at a time, in the vector extensions of GCC and clang: for hosts. */
#include "fft.h"

#if EKWS_FFT_VECTOR

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define POINTS (EKWS_FFT_SAMPLES / 2)
#define HALF (1 << 14)

typedef uint16_t points_t __attribute__((vector_size(16))); /* (4, re im): unsigned, because sums wrap */
typedef int16_t halves_t __attribute__((vector_size(16)));
typedef uint32_t bits_t __attribute__((vector_size(16))); /* (4), of points: re in the lower half */
typedef int32_t words_t __attribute__((vector_size(16)));

#if defined(__clang__)
#define SHUFFLE(a, b, i, j, k, l) (points_t) __builtin_shufflevector((words_t)(a), (words_t)(b), i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) (points_t) __builtin_shuffle((words_t)(a), (words_t)(b), (words_t){i, j, k, l})
#endif

static const bits_t re_mask = {0xffffu, 0xffffu, 0xffffu, 0xffffu};

static inline points_t load(const int16_t *p) {
  points_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

static inline void store(int16_t *p, points_t x) { memcpy(p, &x, sizeof x); }

/* i * conj x */
static inline points_t swapped(points_t x) { return (points_t)((bits_t)x << 16 | (bits_t)x >> 16); }

static inline points_t re_negated(points_t x) { return (x ^ (points_t)re_mask) - (points_t)re_mask; }

static inline points_t im_negated(points_t x) { return (x ^ (points_t)~re_mask) - (points_t)~re_mask; }

/* x >> n of signed halves */
static inline points_t shifted(points_t x, int n) { return (points_t)((halves_t)x >> n); }

/* x - 1, but not below -2^15 */
static inline points_t decremented(points_t x) { return x + (points_t)((halves_t)x > INT16_MIN); }

/* (x * 8191 + HALF) >> 15 for each x of 16 bits, without a product: 8191 is 2^13 - 1. */
static inline points_t quarter(points_t x) { return shifted(x + 1 - shifted(decremented(x), 13), 2); }

/* (x * 16383 + HALF) >> 15, and the same of -x, which has 17 bits. */
static inline points_t half(points_t x) { return shifted(x - shifted(decremented(x), 14), 1); }

static inline points_t minus_half(points_t x) { return shifted(1 - x + shifted(x, 14), 1); }

/* re re' + im im' */
static inline words_t dot(points_t x, points_t y) {
#if defined(__SSE2__)
  return (words_t)_mm_madd_epi16((__m128i)x, (__m128i)y);
#else
  const words_t re = (words_t)((bits_t)x << 16) >> 16, re2 = (words_t)((bits_t)y << 16) >> 16;
  return re * re2 + ((words_t)x >> 16) * ((words_t)y >> 16);
#endif
}

/* (re, im) from products: rounded, their bits 15 .. 30. */
static inline points_t rounded(words_t re, words_t im) {
  return (points_t)(((bits_t)(re + HALF) << 1) >> 16 | (((bits_t)(im + HALF) << 1) & ~re_mask));
}

/* x times w = cos + i sin */
static inline points_t rotated(points_t x, points_t w) { return rounded(dot(x, im_negated(w)), dot(x, swapped(w))); }

/* Radix 4, as in fft.c: a, b, c, d are rotated; sums wrap. */
static inline void butterfly(points_t *a, points_t *b, points_t *c, points_t *d) {
  const points_t ac = *a + *c, a_c = *a - *c, bd = *b + *d, turned = im_negated(swapped(*b - *d));
  *a = ac + bd;
  *b = a_c + turned;
  *c = ac - bd;
  *d = a_c - turned;
}

/* Of four vectors, each the points of one butterfly: the first points, the second, ...; and back. */
static inline void transpose(points_t *a, points_t *b, points_t *c, points_t *d) {
  const points_t ab = SHUFFLE(*a, *b, 0, 4, 1, 5), ab2 = SHUFFLE(*a, *b, 2, 6, 3, 7);
  const points_t cd = SHUFFLE(*c, *d, 0, 4, 1, 5), cd2 = SHUFFLE(*c, *d, 2, 6, 3, 7);
  *a = SHUFFLE(ab, cd, 0, 1, 4, 5);
  *b = SHUFFLE(ab, cd, 2, 3, 6, 7);
  *c = SHUFFLE(ab2, cd2, 0, 1, 4, 5);
  *d = SHUFFLE(ab2, cd2, 2, 3, 6, 7);
}

/* Rotations are by 1; samples are scaled up, and fit. */
static void first_stage(int16_t *bins, unsigned shift) {
  for (int16_t *p = bins; p < bins + 2 * POINTS; p += 32) {
    points_t a = load(p), b = load(p + 8), c = load(p + 16), d = load(p + 24);
    transpose(&a, &b, &c, &d);
    a = quarter(a << shift);
    b = quarter(b << shift);
    c = quarter(c << shift);
    d = quarter(d << shift);
    butterfly(&a, &b, &c, &d);
    transpose(&a, &b, &c, &d);
    store(p, a);
    store(p + 8, b);
    store(p + 16, c);
    store(p + 24, d);
  }
}

/* Twiddles k, k + step, k + 2 step, k + 3 step. */
static inline points_t twiddles(const int16_t *twiddle, unsigned k, unsigned step) {
  words_t w;
  for (unsigned i = 0; i < 4; i++) {
    int32_t word;
    memcpy(&word, twiddle + 2 * (k + i * step), sizeof word);
    w[i] = word;
  }
  return (points_t)w;
}

/* Rotating a quarter by the first twiddle, 32767 in place of 1, leaves it as it is: no point is special. */
static inline void stage(int16_t *bins, const int16_t *twiddle, unsigned stride) {
  const unsigned step = EKWS_FFT_SAMPLES / (4 * stride);
  for (unsigned k = 0; k < stride; k += 4) {
    const points_t w1 = twiddles(twiddle, k * step, step);
    const points_t w2 = twiddles(twiddle, 2 * k * step, 2 * step), w3 = twiddles(twiddle, 3 * k * step, 3 * step);
    for (int16_t *p = bins + 2 * k; p < bins + 2 * POINTS; p += 8 * stride) {
      points_t a = quarter(load(p)), b = rotated(quarter(load(p + 2 * stride)), w1);
      points_t c = rotated(quarter(load(p + 4 * stride)), w2), d = rotated(quarter(load(p + 6 * stride)), w3);
      butterfly(&a, &b, &c, &d);
      store(p, a);
      store(p + 2 * stride, b);
      store(p + 4 * stride, c);
      store(p + 6 * stride, d);
    }
  }
}

/* As in fft.c. Halves of sums and differences of 17 bits are made without their 17th. */
static void untangle(int16_t *bins, const int16_t *twiddle) {
  for (unsigned k = 1; k <= POINTS / 2; k += 4) {
    int16_t *const low = bins + 2 * k, *const high = bins + 2 * (POINTS - 3 - k);
    const points_t up = load(low), down = load(high), w = load(twiddle + 2 * k);
    const points_t mirrored = SHUFFLE(down, down, 3, 2, 1, 0);
    const points_t z = half(up);
    const points_t mirror = (half(mirrored) & (points_t)re_mask) | (minus_half(mirrored) & (points_t)~re_mask);
    const points_t e = z + mirror, difference = z - mirror;
    const points_t o = rounded(dot(difference, swapped(w)), dot(difference, re_negated(w)));
    const points_t more = (e & (points_t)re_mask) | (o & (points_t)~re_mask), less = (o & (points_t)re_mask) | (e & (points_t)~re_mask);
    const points_t result = shifted(more ^ less, 1) - (~more & less);
    store(low, (e & o) + shifted(e ^ o, 1));
    store(high, SHUFFLE(result, result, 3, 2, 1, 0)); /* last: bin 128 is its own mirror, and this one stays */
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
