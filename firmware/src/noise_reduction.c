#include "noise_reduction.h"

#define WEIGHT_BITS 14

void ekws_noise_reduction_apply(const ekws_bank_config_t *config, uint32_t *estimate, uint32_t *mel) {
  for (unsigned i = 0; i < config->mel_bins; i++) {
    const uint32_t weight = config->smoothing[i & 1u];
    const uint32_t limit = UINT32_MAX >> EKWS_ESTIMATE_BITS;
    const uint32_t signal = mel[i] < limit ? mel[i] : limit;
    const uint32_t scaled = signal << EKWS_ESTIMATE_BITS;
    const uint64_t next = (uint64_t)scaled * weight + (uint64_t)estimate[i] * ((1u << WEIGHT_BITS) - weight);
    estimate[i] = (uint32_t)(next >> WEIGHT_BITS);
    if (config->noise_reduction != 0) {
      const uint32_t noise = estimate[i] < scaled ? estimate[i] : scaled;
      const uint32_t floor = (uint32_t)(((uint64_t)signal * config->min_signal_remaining) >> WEIGHT_BITS);
      const uint32_t rest = (scaled - noise) >> EKWS_ESTIMATE_BITS;
      mel[i] = rest > floor ? rest : floor;
    }
  }
}
