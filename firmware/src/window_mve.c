/* The window of window.c with Helium, four complex points in a vector. */
#include "window.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

#define WEIGHT_BITS 12

unsigned ekws_window_apply(const ekws_spectrum_config_t *config, const int16_t *history, int16_t *out) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), EKWS_FFT_SAMPLES / 8 * 4); /* bytes between the four points */
  const int16_t *window = config->window;
  int32_t left = config->window_samples;
  uint16x8_t magnitudes = vdupq_n_u16(0);
  unsigned base = 0;
  for (unsigned n = 0; n < EKWS_FFT_SAMPLES; n += 8, left -= 8, history += 8, window += 8) {
    const mve_pred16_t there = vctp16q(left > 0 ? (uint32_t)left : 0u); /* zeros beyond the window */
    const int16x8_t samples = vldrhq_z_s16(history, there), weights = vldrhq_z_s16(window, there);
    int16x8_t values = vshrnbq_n_s32(vdupq_n_s16(0), vmullbq_int_s16(samples, weights), WEIGHT_BITS);
    values = vshrntq_n_s32(values, vmulltq_int_s16(samples, weights), WEIGHT_BITS);
    magnitudes = vorrq_u16(magnitudes, vreinterpretq_u16_s16(vabsq_s16(values)));
    vstrwq_scatter_offset_s32((int32_t *)(void *)(out + 2 * base), places, vreinterpretq_s32_s16(values));
    base = ekws_window_next(base);
  }
  return ekws_window_headroom(vmaxvq_u16(0, magnitudes));
}

#endif
