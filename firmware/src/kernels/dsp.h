/* The DSP instructions of Cortex-M4, M7, M33 and M55 on pairs of int16 in a word ("lo" and "hi").
 *
 * volatile keeps the compiler from moving them apart: GCC 12 otherwise loads everything first and spills what it loaded. */
#ifndef EKWS_DSP_H
#define EKWS_DSP_H

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

#include <stdint.h>
#include <string.h>

#define EKWS_DSP_INLINE static inline __attribute__((always_inline, unused))

#define EKWS_DSP_2(name, type, ...)                                    \
  EKWS_DSP_INLINE type ekws_##name(uint32_t a, uint32_t b) {           \
    type r;                                                            \
    __asm__ volatile(__VA_ARGS__ : "=r"(r) : "r"(a), "r"(b));          \
    return r;                                                          \
  }
#define EKWS_DSP_3(name, ...)                                          \
  EKWS_DSP_INLINE int32_t ekws_##name(uint32_t a, uint32_t b, int32_t c) { \
    int32_t r;                                                         \
    __asm__ volatile(__VA_ARGS__ : "=r"(r) : "r"(a), "r"(b), "r"(c));  \
    return r;                                                          \
  }

EKWS_DSP_2(sadd16, uint32_t, "sadd16 %0, %1, %2")                 /* both halves, modulo 2^16 */
EKWS_DSP_2(ssub16, uint32_t, "ssub16 %0, %1, %2")
EKWS_DSP_2(shadd16, uint32_t, "shadd16 %0, %1, %2")               /* (a + b) >> 1 */
EKWS_DSP_2(shsub16, uint32_t, "shsub16 %0, %1, %2")
EKWS_DSP_2(sasx, uint32_t, "sasx %0, %1, %2")                     /* lo - hi', hi + lo' */
EKWS_DSP_2(ssax, uint32_t, "ssax %0, %1, %2")                     /* lo + hi', hi - lo' */
EKWS_DSP_2(smulbb, int32_t, "smulbb %0, %1, %2")
EKWS_DSP_2(smultt, int32_t, "smultt %0, %1, %2")
EKWS_DSP_2(smuad, int32_t, "smuad %0, %1, %2")                    /* lo lo' + hi hi' */
EKWS_DSP_2(smusd, int32_t, "smusd %0, %1, %2")                    /* lo lo' - hi hi' */
EKWS_DSP_2(pkhbt, uint32_t, "pkhbt %0, %1, %2, lsl #16")          /* lo, lo' */
EKWS_DSP_2(pkhbt_lsl1, uint32_t, "pkhbt %0, %1, %2, lsl #1")      /* lo, bits 15 .. 30 of b */
EKWS_DSP_2(pkhbt_lsl4, uint32_t, "pkhbt %0, %1, %2, lsl #4")      /* lo, bits 12 .. 27 of b */
EKWS_DSP_2(pkhbt_lsl15, uint32_t, "pkhbt %0, %1, %2, lsl #15")    /* lo, bits 1 .. 16 of b */
EKWS_DSP_2(pkhtb, uint32_t, "pkhtb %0, %1, %2")                   /* lo', hi */
EKWS_DSP_2(pkhtb_asr16, uint32_t, "pkhtb %0, %1, %2, asr #16")    /* hi', hi */
EKWS_DSP_3(smlad, "smlad %0, %1, %2, %3")
EKWS_DSP_3(smladx, "smladx %0, %1, %2, %3")                       /* c + lo hi' + hi lo' */
EKWS_DSP_3(smlsd, "smlsd %0, %1, %2, %3")                         /* c + lo lo' - hi hi' */
EKWS_DSP_3(smlabb, "smlabb %0, %1, %2, %3")
EKWS_DSP_3(smmlar, "smmlar %0, %1, %2, %3")                       /* c + upper half of the signed product, rounded */
EKWS_DSP_3(smlatt, "smlatt %0, %1, %2, %3")
EKWS_DSP_3(smlatb, "smlatb %0, %1, %2, %3")                       /* c + hi lo' */

/* Bytes 0 and 2, or 1 and 3, as int16 in lo and hi */
EKWS_DSP_INLINE uint32_t ekws_sxtb16(uint32_t a) {
  uint32_t r;
  __asm__ volatile("sxtb16 %0, %1" : "=r"(r) : "r"(a));
  return r;
}
EKWS_DSP_INLINE uint32_t ekws_sxtb16_odd(uint32_t a) {
  uint32_t r;
  __asm__ volatile("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
  return r;
}

EKWS_DSP_INLINE int32_t ekws_ssat8(int32_t a) {
  int32_t r;
  __asm__ volatile("ssat %0, #8, %1" : "=r"(r) : "r"(a));
  return r;
}

/* Two words at once, aligned to a word; *p moves on. */
EKWS_DSP_INLINE void ekws_load_two(const uint32_t **p, uint32_t *a, uint32_t *b) {
  __asm__ volatile("ldrd %0, %1, [%2], #8" : "=r"(*a), "=r"(*b), "+r"(*p) : : "memory");
}

/* Two words at `p`; the compiler chooses the offset. */
typedef uint64_t __attribute__((may_alias, aligned(4))) ekws_two_words_t;
EKWS_DSP_INLINE void ekws_peek_two(const uint32_t *p, uint32_t *a, uint32_t *b) {
  __asm__ volatile("ldrd %0, %1, %2" : "=r"(*a), "=r"(*b) : "m"(*(const ekws_two_words_t *)(const void *)p));
}

/* c + (a times a half of b) >> 16 */
EKWS_DSP_INLINE int32_t ekws_smlawb(int32_t a, uint32_t b, int32_t c) {
  int32_t r;
  __asm__ volatile("smlawb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
EKWS_DSP_INLINE int32_t ekws_smlawt(int32_t a, uint32_t b, int32_t c) {
  int32_t r;
  __asm__ volatile("smlawt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}

/* |lo|, |hi| as uint16 */
EKWS_DSP_INLINE uint32_t ekws_abs16(uint32_t a) {
  uint32_t r;
  __asm__ volatile("ssub16 %0, %2, %1\n\tsel %0, %0, %1" : "=&r"(r) : "r"(a), "r"(0));
  return r;
}

/* acc + a b, unsigned */
EKWS_DSP_INLINE void ekws_umlal(uint32_t *low, uint32_t *high, uint32_t a, uint32_t b) {
  __asm__ volatile("umlal %0, %1, %2, %3" : "+r"(*low), "+r"(*high) : "r"(a), "r"(b));
}

/* acc + lo lo' + hi hi' in 64 bits */
EKWS_DSP_INLINE void ekws_smlald(uint32_t *low, uint32_t *high, uint32_t a, uint32_t b) {
  __asm__ volatile("smlald %0, %1, %2, %3" : "+r"(*low), "+r"(*high) : "r"(a), "r"(b));
}

/* These cores load and store words at any address. */
EKWS_DSP_INLINE uint32_t ekws_load_pair(const int16_t *p) {
  uint32_t pair;
  memcpy(&pair, p, sizeof pair);
  return pair;
}

EKWS_DSP_INLINE void ekws_store_pair(int16_t *p, uint32_t pair) { memcpy(p, &pair, sizeof pair); }

#endif
#endif
