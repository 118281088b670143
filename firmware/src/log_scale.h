/* Stage 6: logarithm, and the int8 feature that models take. */
#ifndef EKWS_LOG_SCALE_H
#define EKWS_LOG_SCALE_H

#include "ekws.h"

/* Amplitude (Q6) -> f = 64 ln(8 amplitude), 0 .. 65535; 0 for an amplitude of 0. */
uint16_t ekws_log_scale(uint32_t amplitude, const uint16_t *table);

/* f -> q = clamp((256 f + D / 2) / D - 128) */
int8_t ekws_feature(uint16_t log_mel, uint16_t divisor);

#endif
