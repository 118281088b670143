/* The signal path: PCM history, then the stages in order. */
#include <string.h>

#include "ekws.h"
#include "fft.h"
#include "log_scale.h"
#include "mel.h"
#include "noise_reduction.h"
#include "pcan.h"
#include "window.h"

/* Words where the core loads them at any address. `to` lies before `from` or far from it. */
static void copy_samples(int16_t *to, const int16_t *from, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
#if defined(__ARM_FEATURE_UNALIGNED)
    memcpy(to + i, from + i, 8 * sizeof *to);
#else
    const int16_t a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];
    to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d;
    const int16_t e = from[i + 4], f = from[i + 5], g = from[i + 6], h = from[i + 7];
    to[i + 4] = e, to[i + 5] = f, to[i + 6] = g, to[i + 7] = h;
#endif
  }
  for (; i < count; i++) {
    to[i] = from[i];
  }
}

int32_t ekws_spectrum_init(ekws_spectrum_t *spectrum, const ekws_spectrum_config_t *config) {
  if (config == NULL || config->window == NULL || config->twiddle == NULL || config->window_samples < 160 ||
      config->window_samples > EKWS_FFT_SAMPLES || config->hop_samples < 80 || config->hop_samples > config->window_samples) {
    return EKWS_ERROR_CONFIG;
  }
  for (unsigned i = 0; i < config->window_samples; i++) {
    if (config->window[i] < 0 || config->window[i] > 4096) {
      return EKWS_ERROR_CONFIG;
    }
  }
  for (unsigned i = 0; i < 2 * EKWS_TWIDDLE_COUNT; i++) {
    if (config->twiddle[i] == INT16_MIN) { /* kernels may negate a twiddle in 16 bits */
      return EKWS_ERROR_CONFIG;
    }
  }
  spectrum->config = config;
  ekws_spectrum_reset(spectrum);
  return EKWS_OK;
}

int32_t ekws_bank_init(ekws_bank_t *bank, const ekws_bank_config_t *config) {
  if (config == NULL || config->band_widths == NULL || config->band_weights == NULL || config->log_table == NULL || config->mel_bins < 1 ||
      config->mel_bins > EKWS_MAX_MEL_BINS || config->first_bin < 1 || config->feature_divisor < 1 || config->snr_shift > 31 ||
      config->smoothing[0] > 16384 || config->smoothing[1] > 16384 || config->min_signal_remaining > 16384 ||
      (config->pcan != 0 && config->gain_table == NULL)) {
    return EKWS_ERROR_CONFIG;
  }
  uint32_t end = config->first_bin;
  for (unsigned band = 0; band <= config->mel_bins; band++) {
    const uint32_t begin = end;
    end += config->band_widths[band];
    if (end > EKWS_FFT_SAMPLES / 2) {
      return EKWS_ERROR_CONFIG;
    }
    for (uint32_t i = begin - config->first_bin; i < end - config->first_bin; i++) {
      if (config->band_weights[i] > 4096) {
        return EKWS_ERROR_CONFIG;
      }
    }
  }
  bank->config = config;
  ekws_bank_reset(bank);
  return EKWS_OK;
}

void ekws_spectrum_reset(ekws_spectrum_t *spectrum) { spectrum->filled = 0; }

void ekws_bank_reset(ekws_bank_t *bank) { memset(bank->noise_estimate, 0, sizeof bank->noise_estimate); }

size_t ekws_frontend_frames(const ekws_spectrum_t *spectrum, size_t samples) {
  const ekws_spectrum_config_t *config = spectrum->config;
  const size_t missing = (size_t)config->window_samples - spectrum->filled;
  return samples < missing ? 0 : (samples - missing) / config->hop_samples + 1;
}

/* Everything after the filter bank, for frame `row` of `frames`; `mel` (mel_bins) is overwritten. */
static void finish_frame(ekws_bank_t *bank, uint32_t *mel, const ekws_frames_t *frames, size_t row) {
  const ekws_bank_config_t *config = bank->config;
  const size_t first = row * config->mel_bins;
  if (frames->mel != NULL) {
    memcpy(frames->mel + first, mel, config->mel_bins * sizeof *mel);
  }
  if (config->noise_reduction != 0 || config->pcan != 0) {
    ekws_noise_reduction_apply(config, bank->noise_estimate, mel);
  }
  if (config->pcan != 0) {
    ekws_pcan_apply(config, bank->noise_estimate, mel);
  }
  for (unsigned i = 0; i < config->mel_bins; i++) {
    const uint16_t log_mel = ekws_log_scale(mel[i], config->log_table);
    if (frames->log_mel != NULL) {
      frames->log_mel[first + i] = log_mel;
    }
    if (frames->features != NULL) {
      frames->features[first + i] = ekws_feature(log_mel, config->feature_divisor);
    }
  }
}

int32_t ekws_frontend_process(ekws_spectrum_t *spectrum, ekws_bank_t *banks, size_t bank_count, const int16_t *pcm, size_t samples,
                              const ekws_frames_t *frames, size_t capacity) {
  const ekws_spectrum_config_t *config = spectrum->config;
  const size_t frames_ahead = ekws_frontend_frames(spectrum, samples);
  if (frames_ahead > capacity || frames_ahead > INT32_MAX) {
    return EKWS_ERROR_CAPACITY;
  }
  int32_t count = 0;
  while (samples > 0) {
    const size_t missing = (size_t)config->window_samples - spectrum->filled;
    const size_t taken = samples < missing ? samples : missing;
    copy_samples(spectrum->history + spectrum->filled, pcm, taken);
    spectrum->filled = (uint16_t)(spectrum->filled + taken);
    pcm += taken;
    samples -= taken;
    if (spectrum->filled < config->window_samples) {
      break;
    }
    const unsigned shift = ekws_window_apply(config, spectrum->history, spectrum->bins);
    ekws_fft_real_s16(spectrum->bins, config->twiddle, shift);
    for (size_t i = 0; i < bank_count; i++) {
      uint32_t mel[EKWS_MAX_MEL_BINS];
      ekws_mel_apply(banks[i].config, spectrum->bins, shift, mel);
      finish_frame(&banks[i], mel, &frames[i], (size_t)count);
    }
    count++;
    spectrum->filled = (uint16_t)(config->window_samples - config->hop_samples);
    copy_samples(spectrum->history, spectrum->history + config->hop_samples, spectrum->filled);
  }
  return count;
}

void ekws_bank_process(ekws_bank_t *bank, const uint32_t *mel, size_t count, const ekws_frames_t *frames) {
  for (size_t row = 0; row < count; row++) {
    uint32_t work[EKWS_MAX_MEL_BINS];
    memcpy(work, mel + row * bank->config->mel_bins, bank->config->mel_bins * sizeof *mel);
    finish_frame(bank, work, frames, row);
  }
}
