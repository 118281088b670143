/* Stage 4, optional: per-channel noise estimate and its subtraction. */
#ifndef EKWS_NOISE_REDUCTION_H
#define EKWS_NOISE_REDUCTION_H

#include "ekws.h"

#define EKWS_ESTIMATE_BITS 10

/* Updates the estimate (mel_bins, Q10) from mel (mel_bins); subtracts it from mel when `noise_reduction` is set. */
void ekws_noise_reduction_apply(const ekws_bank_config_t *config, uint32_t *estimate, uint32_t *mel);

#endif
