#include "mel.h"

#include "bits.h"
#include "kernels/dsp.h"

#define WEIGHT_BITS 12

/* floor(sqrt(256 i + 255)) for i = 64 .. 255 */
static const uint8_t roots[192] = {
    128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 143, 144, 145, 146, 147, 148, 149, 150,
    150, 151, 152, 153, 154, 155, 155, 156, 157, 158, 159, 159, 160, 161, 162, 163, 163, 164, 165, 166, 167, 167, 168, 169,
    170, 170, 171, 172, 173, 173, 174, 175, 175, 176, 177, 178, 178, 179, 180, 181, 181, 182, 183, 183, 184, 185, 185, 186,
    187, 187, 188, 189, 189, 190, 191, 191, 192, 193, 193, 194, 195, 195, 196, 197, 197, 198, 199, 199, 200, 201, 201, 202,
    203, 203, 204, 204, 205, 206, 206, 207, 207, 208, 209, 209, 210, 211, 211, 212, 212, 213, 214, 214, 215, 215, 216, 217,
    217, 218, 218, 219, 219, 220, 221, 221, 222, 222, 223, 223, 224, 225, 225, 226, 226, 227, 227, 228, 229, 229, 230, 230,
    231, 231, 232, 232, 233, 234, 234, 235, 235, 236, 236, 237, 237, 238, 238, 239, 239, 240, 241, 241, 242, 242, 243, 243,
    244, 244, 245, 245, 246, 246, 247, 247, 248, 248, 249, 249, 250, 250, 251, 251, 252, 252, 253, 253, 254, 254, 255, 255,
};

/* Floor of the square root of x, which uses its upper two bits: x >= 2^30. A root of 8 bits from the table, 8 more by division
 * (Zimmermann, "Karatsuba square root", INRIA 1999); each step is at most one too high. */
static uint32_t root_of_full_u32(uint32_t x) {
  uint32_t root = roots[(x >> 24) - 64u];
  root -= root * root > x >> 16;
  const uint32_t rest = (x >> 16) - root * root;
  const uint32_t digit = ((rest << 7) | ((x >> 9) & 0x7fu)) / root;
  root = (root << 8) + (digit < 0xffu ? digit : 0xffu);
  return root - (root * root > x);
}

/* Square root, rounded to nearest. */
static uint32_t root_u32(uint32_t x) {
  if (x == 0) {
    return 0;
  }
  const unsigned shift = ekws_clz(x) & ~1u;
  const uint32_t root = root_of_full_u32(x << shift) >> (shift / 2);
  return root + (x - root * root > root);
}

/* x < 2^51: 256 energies of 2^31 with weights of 2^12. */
static uint32_t root_u51(uint64_t x) {
  const uint32_t high = (uint32_t)(x >> 32), low = (uint32_t)x;
  if (high == 0) {
    /* 2^16 would be the rounded root of the largest values; the published code keeps 16 bits. */
    const uint32_t root = root_u32(low);
    return root < UINT16_MAX ? root : UINT16_MAX;
  }
  const unsigned shift = ekws_clz(high) & ~1u;
  const uint32_t full = high << shift | (low >> 1) >> (31u - shift);
  uint32_t root = root_of_full_u32(full);
  const uint32_t rest = full - root * root, digit = ((rest << 15) | ((low << shift) >> 17)) / root;
  root = ((root << 16) + (digit < 0xffffu ? digit : 0xffffu)) >> (shift / 2);
  /* The difference is small, whatever the upper halves are. */
  root -= (low - root * root) >> 31;
  return root + (low - root * root > root);
}

/* re^2 + im^2 */
static inline uint32_t energy(const int16_t *bin) {
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  const uint32_t pair = ekws_load_pair(bin);
  return (uint32_t)ekws_smuad(pair, pair);
#else
  return (uint32_t)(bin[0] * bin[0]) + (uint32_t)(bin[1] * bin[1]);
#endif
}

void ekws_mel_apply(const ekws_bank_config_t *config, const int16_t *bins, unsigned shift, uint32_t *mel) {
  const int16_t *bin = bins + 2 * config->first_bin;
  const uint16_t *weight = config->band_weights;
  uint64_t rising = 0; /* of the mel bin to finish next, from the band before */
  for (unsigned band = 0; band <= config->mel_bins; band++) {
    /* The bins of a band lie on the falling slope of mel bin `band - 1` and on the rising slope of mel bin `band`. */
    uint64_t falling = 0, total = 0;
    for (const int16_t *const end = bin + 2 * config->band_widths[band]; bin != end; bin += 2) {
      const uint32_t power = energy(bin);
      falling += (uint64_t)power * *weight++;
      total += power;
    }
    if (band > 0) {
      mel[band - 1] = root_u51(rising + falling) >> shift;
    }
    rising = (total << WEIGHT_BITS) - falling;
  }
}
