/* Bit counting that every compiler has. */
#ifndef EKWS_BITS_H
#define EKWS_BITS_H

#include <stdint.h>

/* Number of leading zero bits; 32 for 0. */
static inline unsigned ekws_clz(uint32_t x) {
#if defined(__GNUC__)
  return x != 0 ? (unsigned)__builtin_clz(x) : 32u;
#else
  unsigned n = 0;
  for (; n < 32 && (x & 0x80000000u) == 0; n++) {
    x <<= 1;
  }
  return n;
#endif
}

#endif
