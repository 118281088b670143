/* Bytes to configurations, tables, PCM, chunks, resets and posteriors. Whatever init accepts must run without a fault, and the result
 * must not depend on how the input was cut, on which outputs are wanted, or on what was heard before a reset. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ekws.h"

#define MAX_BANKS 3
#define MAX_SAMPLES 4096
#define MAX_FRAMES (MAX_SAMPLES / 80 + 1)
#define MAX_STEPS 512

#define CHECK(condition) \
  if (!(condition)) {    \
    abort();             \
  }

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

/* Numbers low .. high: two input bytes seed a whole table; in some tables every number is an extreme. */
typedef struct {
  uint32_t state;
  int extremes;
} numbers_t;

static numbers_t numbers(input_t *in) {
  uint8_t seed[2];
  take(in, seed, sizeof seed);
  const numbers_t numbers = {seed[0] * 0x01010101u + 1u, (seed[1] & 1) != 0};
  return numbers;
}

static int32_t next(numbers_t *numbers, int32_t low, int32_t high) {
  numbers->state = numbers->state * 1664525u + 1013904223u;
  const uint32_t random = numbers->state >> 8;
  if (numbers->extremes) {
    return (random & 1u) != 0 ? high : low;
  }
  return low + (int32_t)(random % (uint32_t)(high - low + 1));
}

/* ---- front end ---- */

typedef struct {
  uint16_t widths[EKWS_MAX_MEL_BINS + 1], weights[EKWS_FFT_SAMPLES / 2], log_table[EKWS_LOG_TABLE_COUNT];
  int16_t gain_table[EKWS_GAIN_TABLE_COUNT];
  ekws_bank_config_t config;
} bank_tables_t;

typedef struct {
  uint32_t mel[MAX_FRAMES * EKWS_MAX_MEL_BINS];
  uint16_t log_mel[MAX_FRAMES * EKWS_MAX_MEL_BINS];
  int8_t features[MAX_FRAMES * EKWS_MAX_MEL_BINS];
} cells_t;

static void spectrum_config(input_t *in, ekws_spectrum_config_t *config) {
  static int16_t window[EKWS_FFT_SAMPLES], twiddle[EKWS_TWIDDLE_COUNT * 2];
  const uint8_t flags = byte(in);
  numbers_t sizes = numbers(in), weights = numbers(in), turns = numbers(in);
  const int hostile = (flags & 3) == 0;
  config->window_samples = (uint16_t)(hostile ? next(&sizes, 0, UINT16_MAX) : next(&sizes, 160, EKWS_FFT_SAMPLES));
  config->hop_samples = (uint16_t)(hostile ? next(&sizes, 0, UINT16_MAX) : next(&sizes, 80, config->window_samples));
  for (unsigned i = 0; i < EKWS_FFT_SAMPLES; i++) {
    window[i] = (int16_t)((flags & 12) == 0 ? next(&weights, INT16_MIN, INT16_MAX) : next(&weights, 0, 4096));
  }
  for (unsigned i = 0; i < EKWS_TWIDDLE_COUNT * 2; i++) {
    twiddle[i] = (int16_t)next(&turns, (flags & 48) == 0 ? INT16_MIN : -INT16_MAX, INT16_MAX);
  }
  const uint8_t missing = hostile ? byte(in) : 0;
  config->window = (missing & 3) == 3 ? NULL : window;
  config->twiddle = (missing & 12) == 12 ? NULL : twiddle;
}

static void bank_config(input_t *in, bank_tables_t *bank) {
  const uint8_t flags = byte(in);
  numbers_t widths = numbers(in), weights = numbers(in), logs = numbers(in), gains = numbers(in);
  memset(bank, 0, sizeof *bank);
  if ((flags & 3) == 0) {
    take(in, &bank->config, offsetof(ekws_bank_config_t, band_widths));
  } else {
    bank->config.mel_bins = (uint8_t)(1 + byte(in) % EKWS_MAX_MEL_BINS);
    bank->config.noise_reduction = flags >> 2 & 1;
    bank->config.pcan = flags >> 3 & 1;
    bank->config.snr_shift = byte(in) & 31;
    bank->config.first_bin = (uint16_t)(1 + byte(in) % 16);
    bank->config.feature_divisor = (uint16_t)(1 + byte(in) * 8);
    bank->config.smoothing[0] = (uint16_t)(byte(in) * 64);
    bank->config.smoothing[1] = (uint16_t)(byte(in) * 64);
    bank->config.min_signal_remaining = (uint16_t)(byte(in) * 64);
  }
  for (unsigned i = 0; i <= EKWS_MAX_MEL_BINS; i++) {
    bank->widths[i] = (uint16_t)next(&widths, 0, (flags & 48) == 0 ? UINT16_MAX : (flags & 64) != 0 ? 3 : 80);
  }
  for (unsigned i = 0; i < EKWS_FFT_SAMPLES / 2; i++) {
    bank->weights[i] = (uint16_t)next(&weights, 0, (flags & 128) != 0 && (flags & 3) == 0 ? UINT16_MAX : 4096);
  }
  for (unsigned i = 0; i < EKWS_LOG_TABLE_COUNT; i++) {
    bank->log_table[i] = (uint16_t)next(&logs, 0, UINT16_MAX);
  }
  for (unsigned i = 0; i < EKWS_GAIN_TABLE_COUNT; i++) {
    bank->gain_table[i] = (int16_t)next(&gains, INT16_MIN, INT16_MAX);
  }
  const uint8_t missing = (flags & 3) == 0 ? byte(in) : 0;
  bank->config.band_widths = (missing & 3) == 3 ? NULL : bank->widths;
  bank->config.band_weights = (missing & 12) == 12 ? NULL : bank->weights;
  bank->config.log_table = (missing & 48) == 48 ? NULL : bank->log_table;
  bank->config.gain_table = bank->config.pcan == 0 || (missing & 192) == 192 ? NULL : bank->gain_table;
}

/* Which outputs a call wants: bit 0 mel, 1 log_mel, 2 features. Each in memory of its exact size, so that ASan sees one cell too far. */
static ekws_frames_t exact_frames(unsigned wanted, size_t cells) {
  const ekws_frames_t frames = {
      (wanted & 1u) != 0 ? malloc(cells * sizeof(uint32_t) + 1) : NULL,
      (wanted & 2u) != 0 ? malloc(cells * sizeof(uint16_t) + 1) : NULL,
      (wanted & 4u) != 0 ? malloc(cells + 1) : NULL,
  };
  return frames;
}

static void release(ekws_frames_t *frames) {
  free(frames->mel);
  free(frames->log_mel);
  free(frames->features);
}

static void check_equal(const ekws_frames_t *frames, const cells_t *whole, size_t first, size_t cells) {
  CHECK(frames->mel == NULL || memcmp(frames->mel, whole->mel + first, cells * sizeof *frames->mel) == 0);
  CHECK(frames->log_mel == NULL || memcmp(frames->log_mel, whole->log_mel + first, cells * sizeof *frames->log_mel) == 0);
  CHECK(frames->features == NULL || memcmp(frames->features, whole->features + first, cells) == 0);
}

/* The same PCM in chunks, with other outputs wanted each time: equal to `whole`. */
static void chunked(input_t *in, ekws_spectrum_t *spectrum, ekws_bank_t *banks, size_t bank_count, const int16_t *pcm, size_t samples,
                    const cells_t *whole) {
  size_t row = 0;
  while (samples > 0) {
    size_t chunk = byte(in) * (size_t)(1 + (byte(in) & 7));
    chunk = chunk < samples && in->left > 0 ? chunk : samples;
    const size_t count = ekws_frontend_frames(spectrum, chunk);
    ekws_frames_t frames[MAX_BANKS];
    for (size_t i = 0; i < bank_count; i++) {
      frames[i] = exact_frames(byte(in), count * banks[i].config->mel_bins);
    }
    CHECK(count == 0 || ekws_frontend_process(spectrum, banks, bank_count, pcm, chunk, frames, count - 1) == EKWS_ERROR_CAPACITY);
    CHECK(ekws_frontend_process(spectrum, banks, bank_count, pcm, chunk, frames, count) == (int32_t)count);
    for (size_t i = 0; i < bank_count; i++) {
      const size_t bins = banks[i].config->mel_bins;
      check_equal(&frames[i], &whole[i], row * bins, count * bins);
      release(&frames[i]);
    }
    row += count;
    pcm += chunk;
    samples -= chunk;
  }
}

/* Filter bank outputs fed back in: what follows them gives the same; any other amplitudes give something. */
static void banks_alone(input_t *in, ekws_bank_t *banks, size_t bank_count, size_t rows, cells_t *whole) {
  for (size_t i = 0; i < bank_count; i++) {
    const size_t cells = rows * banks[i].config->mel_bins;
    ekws_frames_t frames = exact_frames(byte(in), cells);
    ekws_bank_reset(&banks[i]);
    ekws_bank_process(&banks[i], whole[i].mel, rows, &frames);
    check_equal(&frames, &whole[i], 0, cells);
    take(in, whole[i].mel, cells * sizeof *whole[i].mel);
    ekws_bank_process(&banks[i], whole[i].mel, rows, &frames);
    release(&frames);
  }
}

static void frontend(input_t *in) {
  static bank_tables_t tables[MAX_BANKS];
  static ekws_bank_t banks[MAX_BANKS];
  static cells_t whole[MAX_BANKS];
  static ekws_spectrum_t spectrum;
  static int16_t pcm[MAX_SAMPLES];
  ekws_spectrum_config_t config;
  spectrum_config(in, &config);
  const size_t bank_count = byte(in) % (MAX_BANKS + 1);
  memset(&spectrum, 0xa5, sizeof spectrum);
  memset(banks, 0xa5, sizeof banks);
  int32_t status = ekws_spectrum_init(&spectrum, &config);
  for (size_t i = 0; i < bank_count; i++) {
    bank_config(in, &tables[i]);
    status |= ekws_bank_init(&banks[i], &tables[i].config);
  }
  if (status != EKWS_OK) {
    return;
  }
  const size_t samples = byte(in) * (size_t)(MAX_SAMPLES / 255);
  numbers_t noise = numbers(in);
  const int recorded = byte(in) & 1;
  for (size_t i = 0; i < samples; i++) {
    pcm[i] = (int16_t)next(&noise, INT16_MIN, INT16_MAX);
  }
  if (recorded) {
    take(in, pcm, samples / 2 * sizeof *pcm);
  }
  ekws_frames_t frames[MAX_BANKS];
  for (size_t i = 0; i < bank_count; i++) {
    frames[i] = (ekws_frames_t){whole[i].mel, whole[i].log_mel, whole[i].features};
  }
  const size_t rows = ekws_frontend_frames(&spectrum, samples);
  CHECK(rows <= MAX_FRAMES);
  CHECK(ekws_frontend_process(&spectrum, banks, bank_count, pcm, samples, frames, SIZE_MAX) == (int32_t)rows);
  for (int round = 0; round < 2; round++) { /* the second after a reset in the middle of a window */
    ekws_spectrum_reset(&spectrum);
    for (size_t i = 0; i < bank_count; i++) {
      ekws_bank_reset(&banks[i]);
    }
    chunked(in, &spectrum, banks, bank_count, pcm, samples, whole);
  }
  banks_alone(in, banks, bank_count, rows, whole);
}

/* ---- decoder ---- */

static void decoder(input_t *in) {
  static ekws_decoder_t state;
  static int8_t posteriors[MAX_STEPS * EKWS_MAX_CLASSES];
  static ekws_detection_t whole[MAX_STEPS];
  uint16_t thresholds[EKWS_MAX_CLASSES];
  ekws_decoder_config_t config;
  memset(&config, 0, sizeof config);
  take(in, &config, offsetof(ekws_decoder_config_t, thresholds));
  if (byte(in) & 3) { /* mostly plausible */
    config.classes = (uint8_t)(1 + config.classes % EKWS_MAX_CLASSES);
    config.average_window = (uint8_t)(1 + config.average_window % EKWS_MAX_AVERAGE);
    config.min_consecutive = (uint8_t)(1 + config.min_consecutive % 8);
    config.refractory_steps = config.refractory_steps % 32;
  }
  numbers_t noise = numbers(in), limits = numbers(in);
  for (unsigned i = 0; i < EKWS_MAX_CLASSES; i++) {
    thresholds[i] = (uint16_t)next(&limits, 0, UINT16_MAX);
  }
  config.thresholds = byte(in) == 7 ? NULL : thresholds;
  memset(&state, 0xa5, sizeof state);
  uint8_t *recent = malloc((size_t)config.average_window * config.classes + 1);
  if (ekws_decoder_init(&state, &config, recent) != EKWS_OK) {
    free(recent);
    return;
  }
  const size_t steps = byte(in) * (size_t)(MAX_STEPS / 255);
  for (size_t i = 0; i < steps * config.classes; i++) {
    posteriors[i] = (int8_t)next(&noise, INT8_MIN, INT8_MAX);
  }
  take(in, posteriors, steps * config.classes / 2);
  const int32_t expected = ekws_decoder_process(&state, posteriors, steps, whole, steps);
  CHECK(expected >= 0 && (size_t)expected <= steps);
  if (expected > 0) { /* one place too few */
    ekws_decoder_reset(&state);
    CHECK(ekws_decoder_process(&state, posteriors, steps, whole, (size_t)expected - 1) == EKWS_ERROR_CAPACITY);
  }
  ekws_decoder_reset(&state);
  size_t first = 0, seen = 0;
  while (first < steps) {
    size_t chunk = byte(in) % 32u;
    chunk = chunk < steps - first && in->left > 0 ? chunk : steps - first;
    ekws_detection_t *found = malloc(chunk * sizeof *found + 1);
    const int32_t count = ekws_decoder_process(&state, posteriors + first * config.classes, chunk, found, chunk);
    CHECK(count >= 0 && seen + (size_t)count <= (size_t)expected);
    for (int32_t i = 0; i < count; i++, seen++) {
      CHECK(found[i].step + first == whole[seen].step && found[i].score == whole[seen].score);
      CHECK(found[i].class_index == whole[seen].class_index && found[i].class_index < config.classes);
    }
    free(found);
    (void)ekws_decoder_score(&state, byte(in));
    first += chunk;
  }
  CHECK(seen == (size_t)expected);
  free(recent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input_t in = {data, size};
  if (byte(&in) & 3) {
    frontend(&in);
  } else {
    decoder(&in);
  }
  return 0;
}
