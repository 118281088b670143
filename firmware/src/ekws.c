/* All of it in signal order: PCM, front ends, models, decoders, events. */
#include <string.h>

#include "ekws.h"

typedef struct {
  uint8_t *next;
  size_t left;
} arena_t;

/* The next `bytes` of the arena, aligned to 8; NULL, for ever, once they are used up. */
static void *carve(arena_t *arena, size_t bytes) {
  uint8_t *taken = arena->next;
  if (bytes > arena->left || EKWS_ROUND_UP(bytes) > arena->left) {
    arena->next = NULL;
    arena->left = 0;
    return NULL;
  }
  arena->next += EKWS_ROUND_UP(bytes);
  arena->left -= EKWS_ROUND_UP(bytes);
  return taken;
}

static int32_t init_frontends(ekws_t *ekws, arena_t *arena) {
  ekws->banks = carve(arena, ekws->frontend_count * sizeof *ekws->banks);
  ekws->features = carve(arena, (size_t)ekws->frontend_count * EKWS_MAX_MEL_BINS);
  if (ekws->banks == NULL || ekws->features == NULL) {
    return EKWS_ERROR_CAPACITY;
  }
  const ekws_spectrum_config_t *first = ekws->frontends[0].spectrum;
  if (ekws_spectrum_init(&ekws->spectrum, first) != EKWS_OK) {
    return EKWS_ERROR_CONFIG;
  }
  for (size_t i = 0; i < ekws->frontend_count; i++) {
    const ekws_spectrum_config_t *other = ekws->frontends[i].spectrum;
    if (other == NULL || other->window_samples != first->window_samples || other->hop_samples != first->hop_samples ||
        ekws_bank_init(&ekws->banks[i], ekws->frontends[i].bank) != EKWS_OK) {
      return EKWS_ERROR_CONFIG;
    }
  }
  return EKWS_OK;
}

/* Which front end a model takes its features from; the number of front ends when it is none of them. */
static uint8_t find_frontend(const ekws_t *ekws, const ekws_model_t *model) {
  uint8_t i = 0;
  while (i < ekws->frontend_count && memcmp(ekws->frontends[i].digest, model->frontend_digest, EKWS_DIGEST_BYTES) != 0) {
    i++;
  }
  return i;
}

static int32_t init_listener(ekws_t *ekws, ekws_listener_t *listener, const ekws_model_t *model, arena_t *arena) {
  listener->model = model;
  listener->frontend = find_frontend(ekws, model);
  if (listener->frontend == ekws->frontend_count || model->row_bytes != ekws->frontends[listener->frontend].bank->mel_bins ||
      model->window_rows < 1 || model->stride_rows < 1) {
    return EKWS_ERROR_CONFIG;
  }
  listener->state = carve(arena, model->state_bytes);
  listener->posteriors = carve(arena, model->decoder.classes);
  uint8_t *recent = carve(arena, (size_t)model->decoder.classes * model->decoder.average_window);
  if (listener->state == NULL || listener->posteriors == NULL || recent == NULL) {
    return EKWS_ERROR_CAPACITY;
  }
  return ekws_decoder_init(&listener->decoder, &model->decoder, recent);
}

int32_t ekws_init(ekws_t *ekws, const ekws_frontend_t *frontends, size_t frontend_count, const ekws_model_t *const *models,
                  size_t model_count, void *arena, size_t arena_bytes, const ekws_observer_t *observer) {
  if (frontend_count < 1 || frontend_count > EKWS_MAX_MODELS || model_count < 1 || model_count > EKWS_MAX_MODELS) {
    return EKWS_ERROR_CONFIG;
  }
  arena_t rest = {arena, arena_bytes & ~(size_t)7};
  ekws->frontends = frontends;
  ekws->observer = observer;
  ekws->frontend_count = (uint8_t)frontend_count;
  ekws->model_count = (uint8_t)model_count;
  ekws->position = 0;
  int32_t status = init_frontends(ekws, &rest);
  ekws->listeners = carve(&rest, model_count * sizeof *ekws->listeners);
  if (status == EKWS_OK && ekws->listeners == NULL) {
    status = EKWS_ERROR_CAPACITY;
  }
  for (size_t i = 0; i < model_count && status == EKWS_OK; i++) {
    status = init_listener(ekws, &ekws->listeners[i], models[i], &rest);
  }
  if (status == EKWS_OK) {
    ekws->arena_used = arena_bytes - rest.left;
    ekws_reset(ekws);
  }
  return status;
}

void ekws_reset(ekws_t *ekws) {
  ekws_spectrum_reset(&ekws->spectrum);
  for (size_t i = 0; i < ekws->frontend_count; i++) {
    ekws_bank_reset(&ekws->banks[i]);
  }
  for (size_t i = 0; i < ekws->model_count; i++) {
    ekws_listener_t *listener = &ekws->listeners[i];
    listener->model->reset(listener->state);
    ekws_decoder_reset(&listener->decoder);
    listener->step = 0;
  }
  ekws->frame = 0;
  ekws->origin = ekws->position;
}

void ekws_skip(ekws_t *ekws, uint64_t samples) {
  ekws->position += samples;
  ekws_reset(ekws);
}

/* A frame's features into a model. Returns 1 when that made an event, else 0. */
static size_t listen(ekws_t *ekws, size_t index, ekws_event_t *event) {
  ekws_listener_t *listener = &ekws->listeners[index];
  const ekws_model_t *model = listener->model;
  const int8_t *features = ekws->features + (size_t)listener->frontend * EKWS_MAX_MEL_BINS;
  if (model->push(listener->state, features, listener->posteriors) == 0) {
    return 0;
  }
  ekws_detection_t detection;
  const int32_t fired = ekws_decoder_process(&listener->decoder, listener->posteriors, 1, &detection, 1);
  const uint32_t step = listener->step++;
  if (ekws->observer != NULL && ekws->observer->posteriors != NULL) {
    ekws->observer->posteriors(ekws->observer->context, (uint8_t)index, step, listener->posteriors, &listener->decoder);
  }
  if (fired == 0) {
    return 0;
  }
  const ekws_spectrum_config_t *config = ekws->spectrum.config;
  event->model = (uint8_t)index;
  event->class_index = (uint8_t)detection.class_index;
  event->score = detection.score;
  event->start = ekws->origin + (uint64_t)step * model->stride_rows * config->hop_samples;
  event->end = event->start + (uint64_t)(model->window_rows - 1u) * config->hop_samples + config->window_samples;
  return 1;
}

int32_t ekws_process(ekws_t *ekws, const int16_t *pcm, size_t samples, ekws_event_t *events, size_t capacity) {
  const size_t ahead = ekws_frontend_frames(&ekws->spectrum, samples);
  if (ahead > capacity / ekws->model_count || ahead > INT32_MAX / EKWS_MAX_MODELS) {
    return EKWS_ERROR_CAPACITY;
  }
  ekws_frames_t frames[EKWS_MAX_MODELS];
  for (size_t i = 0; i < ekws->frontend_count; i++) {
    const ekws_frames_t one = {NULL, NULL, ekws->features + i * EKWS_MAX_MEL_BINS};
    frames[i] = one;
  }
  size_t count = 0;
  while (samples > 0) {
    const size_t missing = (size_t)ekws->spectrum.config->window_samples - ekws->spectrum.filled;
    const size_t taken = samples < missing ? samples : missing;
    const int32_t made = ekws_frontend_process(&ekws->spectrum, ekws->banks, ekws->frontend_count, pcm, taken, frames, 1);
    pcm += taken;
    samples -= taken;
    ekws->position += taken;
    if (made < 1) {
      continue;
    }
    if (ekws->observer != NULL && ekws->observer->features != NULL) {
      for (uint8_t i = 0; i < ekws->frontend_count; i++) {
        ekws->observer->features(ekws->observer->context, i, ekws->frame, ekws->features + (size_t)i * EKWS_MAX_MEL_BINS);
      }
    }
    ekws->frame++;
    for (size_t i = 0; i < ekws->model_count; i++) {
      count += listen(ekws, i, &events[count]);
    }
  }
  return (int32_t)count;
}
