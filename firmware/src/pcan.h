/* Stage 5, optional: per-channel automatic gain control against the noise estimate (PCAN). */
#ifndef EKWS_PCAN_H
#define EKWS_PCAN_H

#include "ekws.h"

/* mel (mel_bins) amplitudes -> gain-controlled amplitudes Q6, in place; estimate (mel_bins) Q10. */
void ekws_pcan_apply(const ekws_bank_config_t *config, const uint32_t *estimate, uint32_t *mel);

#endif
