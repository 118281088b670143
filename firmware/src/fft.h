/* Stage 2: real FFT of 512 points in 16-bit fixed point. */
#ifndef EKWS_FFT_H
#define EKWS_FFT_H

#include "ekws.h"

/* Whether fft_vector.c serves; fft.c serves all others but cores with DSP instructions. */
#ifndef EKWS_FFT_VECTOR
#if defined(__GNUC__) && (defined(__SSE2__) || (defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__))
#define EKWS_FFT_VECTOR 1
#else
#define EKWS_FFT_VECTOR 0
#endif
#endif

/* In place; word aligned. In: (256, re im) pairs of real samples in base-4 digit-reversed order, to be scaled up by 2^shift on the way: they then
 * fit into int16. Out: bins 1 .. 255 of the 512-point transform, divided by 512; bin 0 is not computed (nothing hears DC).
 *
 * The rounding is part of the contract: every quotient and product is rounded to 16 bits exactly as in the microfrontend of
 * TensorFlow Lite Micro, so that features are equal to its features bit for bit and a model means the same there. */
void ekws_fft_real_s16(int16_t *bins, const int16_t *twiddle, unsigned shift);

#endif
