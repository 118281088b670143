#include "mel.h"

#include "bits.h"

#define WEIGHT_BITS 12

/* Square root, rounded to nearest. */
static uint32_t root_u32(uint32_t x) {
  uint32_t root = 0;
  uint32_t bit = x != 0 ? 1u << ((31u - ekws_clz(x)) & ~1u) : 0;
  for (; bit != 0; bit >>= 2) {
    const uint32_t trial = root + bit;
    root >>= 1;
    if (x >= trial) {
      x -= trial;
      root += bit;
    }
  }
  return x > root ? root + 1 : root;
}

static uint32_t root_u64(uint64_t x) {
  const uint32_t high = (uint32_t)(x >> 32);
  if (high == 0) {
    /* 2^16 would be the rounded root of the largest values; the published code keeps 16 bits. */
    const uint32_t root = root_u32((uint32_t)x);
    return root < UINT16_MAX ? root : UINT16_MAX;
  }
  uint64_t root = 0;
  uint64_t bit = (uint64_t)1 << ((63u - ekws_clz(high)) & ~1u);
  for (; bit != 0; bit >>= 2) {
    const uint64_t trial = root + bit;
    root >>= 1;
    if (x >= trial) {
      x -= trial;
      root += bit;
    }
  }
  return (uint32_t)(x > root ? root + 1 : root);
}

void ekws_mel_apply(const ekws_bank_config_t *config, const int16_t *bins, unsigned shift, uint32_t *mel) {
  const int16_t *bin = bins + 2 * config->first_bin;
  const uint16_t *weight = config->band_weights;
  uint64_t rising = 0; /* of the mel bin to finish next, from the band before */
  for (unsigned band = 0; band <= config->mel_bins; band++) {
    /* The bins of a band lie on the falling slope of mel bin `band - 1` and on the rising slope of mel bin `band`. */
    uint64_t falling = 0, total = 0;
    for (unsigned i = 0; i < config->band_widths[band]; i++, bin += 2) {
      const uint32_t energy = (uint32_t)(bin[0] * bin[0]) + (uint32_t)(bin[1] * bin[1]);
      falling += (uint64_t)energy * *weight++;
      total += energy;
    }
    if (band > 0) {
      mel[band - 1] = root_u64(rising + falling) >> shift;
    }
    rising = (total << WEIGHT_BITS) - falling;
  }
}
