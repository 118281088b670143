/* Stage 3: mel filter bank. */
#ifndef EKWS_MEL_H
#define EKWS_MEL_H

#include "ekws.h"

/* bins (256, re im), scaled up by 2^shift -> mel (mel_bins): root of the energy under each triangle, Q6 of |FFT| / 512. */
void ekws_mel_apply(const ekws_bank_config_t *config, const int16_t *bins, unsigned shift, uint32_t *mel);

#endif
