/* Bytes to configurations, tables, PCM, chunks and posteriors. Whatever init accepts must run without a fault. */
#include <stdlib.h>
#include <string.h>

#include "ekws.h"

typedef struct {
  const uint8_t *data;
  size_t left;
} input_t;

static void take(input_t *in, void *out, size_t size) {
  const size_t given = size < in->left ? size : in->left;
  memset(out, 0, size);
  memcpy(out, in->data, given);
  in->data += given;
  in->left -= given;
}

static uint8_t byte(input_t *in) {
  uint8_t value;
  take(in, &value, 1);
  return value;
}

static void frontend(input_t *in) {
  static int16_t window[EKWS_FFT_SAMPLES], twiddle[EKWS_TWIDDLE_COUNT * 2], gain_table[EKWS_GAIN_TABLE_COUNT];
  static uint16_t widths[EKWS_MAX_MEL_BINS + 1], weights[EKWS_FFT_SAMPLES / 2], log_table[EKWS_LOG_TABLE_COUNT];
  const int hostile = byte(in) & 1;
  ekws_spectrum_config_t spectrum_config = {480, 160, window, twiddle};
  ekws_bank_config_t bank_config = {.mel_bins = 40, .first_bin = 5, .feature_divisor = 666, .snr_shift = 6};
  take(in, &spectrum_config.hop_samples, 2);
  if (hostile) {
    take(in, &spectrum_config.window_samples, 2);
    take(in, &bank_config, offsetof(ekws_bank_config_t, band_widths));
  } else {
    spectrum_config.hop_samples = (uint16_t)(80 + spectrum_config.hop_samples % 401);
    bank_config.noise_reduction = byte(in) & 1;
    bank_config.pcan = byte(in) & 1;
    bank_config.smoothing[0] = bank_config.smoothing[1] = 400;
  }
  for (unsigned i = 0; i < EKWS_FFT_SAMPLES; i++) {
    window[i] = (int16_t)((byte(in) * 4097) >> 8);
  }
  for (unsigned i = 0; i < EKWS_TWIDDLE_COUNT * 2; i++) {
    twiddle[i] = (int16_t)((byte(in) - 128) * 181); /* no longer than 1 */
  }
  for (unsigned i = 0; i <= EKWS_MAX_MEL_BINS; i++) {
    widths[i] = byte(in) % (hostile ? 255 : 6);
  }
  for (unsigned i = 0; i < EKWS_FFT_SAMPLES / 2; i++) {
    weights[i] = (uint16_t)((byte(in) * 4097) >> 8);
  }
  take(in, log_table, sizeof log_table);
  take(in, gain_table, sizeof gain_table);
  bank_config.band_widths = widths;
  bank_config.band_weights = weights;
  bank_config.log_table = log_table;
  bank_config.gain_table = gain_table;

  static ekws_spectrum_t spectrum;
  static ekws_bank_t bank;
  if (ekws_spectrum_init(&spectrum, &spectrum_config) != EKWS_OK || ekws_bank_init(&bank, &bank_config) != EKWS_OK) {
    return;
  }
  while (in->left > 0) {
    const size_t samples = byte(in) * 4u;
    int16_t *pcm = malloc(samples * sizeof *pcm + 1);
    take(in, pcm, samples * sizeof *pcm);
    const size_t count = ekws_frontend_frames(&spectrum, samples);
    const size_t cells = count * bank_config.mel_bins;
    ekws_frames_t frames = {malloc(cells * 4 + 1), malloc(cells * 2 + 1), malloc(cells + 1)};
    if (count > 0 && ekws_frontend_process(&spectrum, &bank, 1, pcm, samples, &frames, count - 1) != EKWS_ERROR_CAPACITY) {
      abort();
    }
    if (ekws_frontend_process(&spectrum, &bank, 1, pcm, samples, &frames, count) != (int32_t)count) {
      abort();
    }
    ekws_bank_process(&bank, frames.mel, count, &frames);
    free(frames.mel);
    free(frames.log_mel);
    free(frames.features);
    free(pcm);
  }
}

static void decoder(input_t *in) {
  uint16_t thresholds[EKWS_MAX_CLASSES];
  ekws_decoder_config_t config = {0};
  take(in, &config, offsetof(ekws_decoder_config_t, thresholds));
  take(in, thresholds, sizeof thresholds);
  config.thresholds = thresholds;
  static ekws_decoder_t state;
  if (ekws_decoder_init(&state, &config) != EKWS_OK) {
    return;
  }
  while (in->left > 0) {
    const size_t steps = byte(in) % 32u;
    int8_t *posteriors = malloc(steps * config.classes + 1);
    ekws_detection_t *found = malloc((steps + 1) * sizeof *found);
    take(in, posteriors, steps * config.classes);
    const int32_t count = ekws_decoder_process(&state, posteriors, steps, found, steps);
    if (count < 0 || (size_t)count > steps) {
      abort();
    }
    free(posteriors);
    free(found);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input_t in = {data, size};
  if (byte(&in) & 1) {
    frontend(&in);
  } else {
    decoder(&in);
  }
  return 0;
}
