#include "pcan.h"

#include "bits.h"

#define SNR_BITS 12
#define OUTPUT_BITS 6

/* The gain for a noise estimate: a parabola in each octave. */
static uint32_t gain(uint32_t estimate, const int16_t *table) {
  if (estimate < 2) {
    return table[estimate] > 0 ? (uint32_t)table[estimate] : 0;
  }
  const unsigned octave = 32u - ekws_clz(estimate); /* 2 .. 32 */
  const int16_t *knot = table + 4 * octave - 6;
  const uint32_t fraction = (octave < 11 ? estimate << (11 - octave) : estimate >> (octave - 11)) & 0x3ffu;
  int32_t value = (knot[2] * (int32_t)fraction) >> 5;
  value += knot[1] * 32;
  value = (value * (int32_t)fraction + (1 << 14)) >> 15;
  value += knot[0];
  return value > 0 ? (uint32_t)value : 0;
}

/* Quadratic below an SNR of 2, linear above: smooth compression of x / (1 + x) kind. */
static uint32_t shrink(uint64_t snr) {
  if (snr < (2u << SNR_BITS)) {
    return (uint32_t)((snr * snr) >> (2 + 2 * SNR_BITS - OUTPUT_BITS));
  }
  const uint64_t linear = (snr >> (SNR_BITS - OUTPUT_BITS)) - (1u << OUTPUT_BITS);
  return linear < UINT32_MAX ? (uint32_t)linear : UINT32_MAX;
}

void ekws_pcan_apply(const ekws_bank_config_t *config, const uint32_t *estimate, uint32_t *mel) {
  for (unsigned i = 0; i < config->mel_bins; i++) {
    mel[i] = shrink(((uint64_t)mel[i] * gain(estimate[i], config->gain_table)) >> config->snr_shift);
  }
}
