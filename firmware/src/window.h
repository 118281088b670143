/* Stage 1: window. Writes the samples, weighted and scaled to use 15 bits, in the order the FFT takes them. */
#ifndef EKWS_WINDOW_H
#define EKWS_WINDOW_H

#include "ekws.h"

/* history (window_samples) -> out (256, re im) in base-4 digit-reversed order, zero beyond the window.
 * Returns the number of bits, 0 .. 15, that the samples were shifted left. */
unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out);

#endif
