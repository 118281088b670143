/* Posteriors to detections: moving average, threshold, hits in a row, refractory time. Integers only. */
#include <string.h>

#include "ekws.h"

#define NEVER UINT16_MAX

int32_t ekws_decoder_init(ekws_decoder_t *decoder, const ekws_decoder_config_t *config, uint8_t *recent) {
  if (config == NULL || recent == NULL || config->thresholds == NULL || config->classes < 1 || config->classes > EKWS_MAX_CLASSES ||
      config->average_window < 1 || config->average_window > EKWS_MAX_AVERAGE || config->min_consecutive < 1) {
    return EKWS_ERROR_CONFIG;
  }
  decoder->config = config;
  decoder->recent = recent;
  ekws_decoder_reset(decoder);
  return EKWS_OK;
}

void ekws_decoder_reset(ekws_decoder_t *decoder) {
  decoder->seen = 0;
  decoder->slot = 0;
  decoder->waiting = 0;
  memset(decoder->consecutive, 0, sizeof decoder->consecutive);
  memset(decoder->sums, 0, sizeof decoder->sums);
  memset(decoder->recent, 0, (size_t)decoder->config->average_window * decoder->config->classes);
}

uint16_t ekws_decoder_score(const ekws_decoder_t *decoder, size_t class_index) {
  if (decoder->seen == 0 || class_index >= decoder->config->classes) {
    return 0;
  }
  return (uint16_t)(((uint32_t)decoder->sums[class_index] << 8) / decoder->seen);
}

static void average(ekws_decoder_t *decoder, const int8_t *posteriors) {
  const ekws_decoder_config_t *config = decoder->config;
  uint8_t *oldest = decoder->recent + (size_t)decoder->slot * config->classes;
  for (unsigned i = 0; i < config->classes; i++) {
    const uint8_t posterior = (uint8_t)(posteriors[i] + 128);
    decoder->sums[i] = (uint16_t)(decoder->sums[i] + posterior - oldest[i]);
    oldest[i] = posterior;
  }
  decoder->slot = (uint8_t)((decoder->slot + 1u) % config->average_window);
  if (decoder->seen < config->average_window) {
    decoder->seen++;
  }
}

/* The class that fires at this step, or -1: of those long enough above their threshold, the one with the highest average. */
static int32_t firing_class(ekws_decoder_t *decoder) {
  const ekws_decoder_config_t *config = decoder->config;
  int32_t best = -1;
  for (unsigned i = 0; i < config->classes; i++) {
    const uint32_t threshold = (uint32_t)config->thresholds[i] * config->average_window;
    if (config->thresholds[i] == NEVER || ((uint32_t)decoder->sums[i] << 8) < threshold) {
      decoder->consecutive[i] = 0;
      continue;
    }
    if (decoder->consecutive[i] < config->min_consecutive) {
      decoder->consecutive[i]++;
    }
    if (decoder->consecutive[i] == config->min_consecutive && (best < 0 || decoder->sums[i] > decoder->sums[best])) {
      best = (int32_t)i;
    }
  }
  return best;
}

int32_t ekws_decoder_process(ekws_decoder_t *decoder, const int8_t *posteriors, size_t steps, ekws_detection_t *detections, size_t capacity) {
  const ekws_decoder_config_t *config = decoder->config;
  size_t count = 0;
  for (size_t step = 0; step < steps; step++) {
    average(decoder, posteriors + step * config->classes);
    if (decoder->seen < config->average_window) {
      continue;
    }
    const int32_t best = firing_class(decoder);
    if (decoder->waiting > 0) {
      decoder->waiting--;
      continue;
    }
    if (best < 0) {
      continue;
    }
    if (count == capacity || count == INT32_MAX) {
      return EKWS_ERROR_CAPACITY;
    }
    detections[count].step = (uint32_t)step;
    detections[count].class_index = (uint16_t)best;
    detections[count].score = ekws_decoder_score(decoder, (size_t)best);
    count++;
    decoder->waiting = config->refractory_steps;
    memset(decoder->consecutive, 0, sizeof decoder->consecutive);
  }
  return (int32_t)count;
}
