#include "app.h"

#include <string.h>

#include "contents.h"
#include "ekws_board.h"
#include "messages.h"
#include "port.h"
#include "sample_ring.h"
#include "slots.h"

#define SERIAL_CHUNK_BYTES 32u
/* Serial bytes are taken only while the ring has room for every sample they can hold: a frame's worth, and the chunk behind it. */
#define SERIAL_CHUNK_SAMPLES (EKWS_BODY_BYTES / 2 + SERIAL_CHUNK_BYTES / 2)
#define AUDIO_SAMPLES ((EKWS_BODY_BYTES - 8) / 2)
#define LEVEL_SHIFT 11u /* a level every 2048 samples */

static struct {
  ekws_t ekws;
  const ekws_model_t *models[EKWS_MAX_MODELS];
  ekws_model_t slot_model;
  uint8_t slot; /* the slot of slot_model; 0: none runs */
  ekws_receiver_t receiver;
  ekws_sample_ring_t ring;
  uint32_t received, reported; /* serial bytes taken, and as the host knows it */
  uint32_t pcm_position;       /* PCM samples since reset, lost ones included; wraps */
  uint8_t streams;
  uint32_t uptime_ms, uptime_mark_us;
  uint32_t overrun_samples, gaps;
  uint32_t hop_filled, hop_us;                     /* of the hop under way */
  uint32_t hops, hop_most_us, timed_hops, timed_us; /* since stats were cleared; timed: halved before they wrap */
  uint64_t squares;
  uint32_t level_samples;
  uint16_t peak;
} app;

/* ---- listening ---- */

static void on_features(void *context, uint8_t frontend, uint32_t frame, const int8_t *features) {
  (void)context;
  if (app.streams & EKWS_STREAM_FEATURES) {
    ekws_send_features(frontend, frame, features, app.ekws.frontends[frontend].bank->mel_bins);
  }
}

static void on_posteriors(void *context, uint8_t model, uint32_t step, const int8_t *posteriors, const ekws_decoder_t *decoder) {
  (void)context;
  if (app.streams & EKWS_STREAM_SCORES) {
    ekws_send_scores(model, step, posteriors, decoder);
  }
}

static const ekws_observer_t observer = {NULL, on_features, on_posteriors};

static void send_audio(const int16_t *samples, size_t count) {
  for (size_t i = 0; i < count; i += AUDIO_SAMPLES) {
    ekws_send_audio(app.ekws.position + i, samples + i, count - i < AUDIO_SAMPLES ? count - i : AUDIO_SAMPLES);
  }
}

static void measure_level(const int16_t *samples, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const int32_t sample = samples[i], magnitude = sample < 0 ? -sample : sample;
    app.squares += (uint32_t)(sample * sample);
    app.peak = magnitude > app.peak ? (uint16_t)magnitude : app.peak;
    if (++app.level_samples == 1u << LEVEL_SHIFT) {
      ekws_send_level(app.ekws.position + i + 1, (uint32_t)(app.squares >> LEVEL_SHIFT), app.peak);
      app.squares = 0;
      app.level_samples = 0;
      app.peak = 0;
    }
  }
}

static void count_hop(void) {
  app.hops++;
  app.timed_hops++;
  app.timed_us += app.hop_us;
  app.hop_most_us = app.hop_us > app.hop_most_us ? app.hop_us : app.hop_most_us;
  if (app.timed_us > UINT32_MAX / 2) {
    app.timed_us /= 2;
    app.timed_hops /= 2;
  }
  app.hop_filled = 0;
  app.hop_us = 0;
}

/* Listens to what is in the ring, a hop at most. Returns 0 when it is empty. */
static int listen(void) {
  const int16_t *samples;
  const uint32_t hop = app.ekws.spectrum.config->hop_samples;
  size_t count = ekws_ring_peek(&app.ring, &samples);
  count = count < hop - app.hop_filled ? count : hop - app.hop_filled;
  if (count == 0) {
    return 0;
  }
  if (app.streams & EKWS_STREAM_AUDIO) {
    send_audio(samples, count);
  }
  if (app.streams & EKWS_STREAM_LEVELS) {
    measure_level(samples, count);
  }
  ekws_event_t events[EKWS_MAX_MODELS];
  const uint32_t start = ekws_port_time_us(), sending = ekws_sender_us();
  const int32_t fired = ekws_process(&app.ekws, samples, count, events, EKWS_MAX_MODELS);
  app.hop_us += ekws_port_time_us() - start - (ekws_sender_us() - sending);
  ekws_ring_drop(&app.ring, count);
  for (int32_t i = 0; i < fired; i++) {
    ekws_send_event(&events[i]);
  }
  app.hop_filled += (uint32_t)count;
  if (app.hop_filled == hop) {
    count_hop();
  }
  ekws_port_watchdog_feed();
  return 1;
}

static void listen_to_all(void) {
  while (listen()) {
  }
}

/* Audio that never came: what came before it is heard first. */
static void lose(uint32_t samples, uint8_t reason) {
  listen_to_all();
  const uint64_t start = app.ekws.position;
  ekws_skip(&app.ekws, samples);
  app.hop_filled = 0;
  app.hop_us = 0;
  app.gaps++;
  ekws_send_gap(start, start + samples, reason);
}

/* The built-in models; that of a slot takes the place of the one of its name, else comes last. */
static int32_t start_models(uint8_t slot) {
  size_t count = ekws_model_count;
  for (size_t i = 0; i < count; i++) {
    app.models[i] = ekws_models[i];
  }
  app.slot = slot;
  if (slot != 0) {
    ekws_slots_model(slot, &app.slot_model);
    size_t i = 0;
    while (i < count && strcmp(app.models[i]->name, app.slot_model.name) != 0) {
      i++;
    }
    if (i == EKWS_MAX_MODELS) {
      return EKWS_ERROR_CAPACITY;
    }
    app.models[i] = &app.slot_model;
    count += i == count;
  }
  return ekws_init(&app.ekws, ekws_frontends, ekws_frontend_count, app.models, count, ekws_arena, ekws_arena_bytes, &observer);
}

static void forget(void) {
  ekws_ring_drop(&app.ring, ekws_ring_filled(&app.ring));
  app.ekws.position = 0;
  ekws_reset(&app.ekws);
  app.pcm_position = 0;
  app.hop_filled = 0;
  app.hop_us = 0;
  app.squares = 0;
  app.level_samples = 0;
  app.peak = 0;
}

/* ---- requests ---- */

static void take_pcm(const uint8_t *body, size_t bytes) {
  const uint32_t position = bytes >= 4 ? ekws_get_u32(body) : 0, missing = position - app.pcm_position;
  if (bytes < 4 || bytes % 2 != 0) {
    ekws_send_result(EKWS_PCM, EKWS_STATUS_MALFORMED);
    return;
  }
  if (missing > UINT32_MAX / 2) { /* heard already */
    ekws_send_result(EKWS_PCM, EKWS_STATUS_OUT_OF_ORDER);
    return;
  }
  if (missing != 0) {
    lose(missing, EKWS_GAP_SERIAL);
  }
  const uint32_t samples = (uint32_t)(bytes - 4) / 2, room = (uint32_t)ekws_ring_room(&app.ring);
  for (uint32_t i = 0; i < samples && i < room; i++) {
    ekws_ring_push(&app.ring, (int16_t)ekws_get_u16(body + 4 + 2 * i));
  }
  app.pcm_position = position + samples;
  if (samples > room) { /* a host that ignores how much may be on its way */
    app.overrun_samples += samples - room;
    lose(samples - room, EKWS_GAP_RING_FULL);
  }
}

static void introduce(uint32_t token) {
  ekws_send_info(&app.ekws, token, app.received);
  app.reported = app.received;
  for (uint8_t i = 0; i < app.ekws.model_count; i++) {
    ekws_send_model(&app.ekws, i, app.ekws.listeners[i].model == &app.slot_model ? app.slot : 0);
    const char *text = app.ekws.listeners[i].model->labels;
    for (uint8_t k = 0; k < app.ekws.listeners[i].model->decoder.classes; k++) {
      ekws_send_label(&app.ekws, i, k, text);
      text += strlen(text) + 1;
    }
  }
  ekws_send_result(EKWS_HELLO, EKWS_STATUS_OK);
}

static void tell_stats(void) {
  ekws_restart_t cause;
  ekws_stats_t stats;
  const uint32_t hop_us = app.ekws.spectrum.config->hop_samples * 125u / 2; /* 62.5 us a sample */
  stats.uptime_ms = app.uptime_ms;
  stats.hops = app.hops;
  stats.hop_mean_us = app.timed_hops > 0 ? app.timed_us / app.timed_hops : 0;
  stats.hop_most_us = app.hop_most_us;
  stats.load_permille = stats.hop_mean_us * 1000u / hop_us;
  stats.overrun_samples = app.overrun_samples;
  stats.gaps = app.gaps;
  stats.dropped_frames = ekws_sender_dropped();
  stats.link = app.receiver.counts;
  stats.stack_used = ekws_port_stack_used();
  stats.stack_bytes = ekws_port_stack_bytes();
  stats.arena_used = (uint32_t)app.ekws.arena_used;
  stats.arena_bytes = (uint32_t)ekws_arena_bytes;
  stats.restarts = ekws_port_restarts(&cause);
  stats.restart_cause = (uint32_t)cause;
  ekws_send_stats(&stats);
}

static void get_stats(int clear) {
  tell_stats();
  if (clear) {
    app.hops = 0;
    app.hop_most_us = 0;
    app.timed_hops = 0;
    app.timed_us = 0;
  }
}

/* The model that was sent runs from now on, or everything stays as it was. */
static ekws_status_code_t switch_models(void) {
  const uint8_t old = app.slot, fresh = ekws_slots_candidate();
  ekws_status_code_t status = ekws_slots_check();
  if (status != EKWS_STATUS_OK) {
    return status;
  }
  const int32_t started = start_models(fresh);
  status = started == EKWS_OK               ? ekws_slots_activate()
           : started == EKWS_ERROR_CAPACITY ? EKWS_STATUS_NO_MEMORY
                                            : EKWS_STATUS_WRONG_FRONTEND;
  if (status != EKWS_STATUS_OK) {
    start_models(old);
  }
  forget();
  return status;
}

static void take_update(uint8_t kind, const uint8_t *body, size_t bytes) {
  ekws_status_code_t status = EKWS_STATUS_MALFORMED;
  listen_to_all();
  if (kind == EKWS_UPDATE_BEGIN && bytes == 4) {
    status = ekws_slots_begin(ekws_get_u32(body));
  } else if (kind == EKWS_UPDATE_DATA && bytes > 4) {
    status = ekws_slots_write(ekws_get_u32(body), body + 4, bytes - 4);
  } else if (kind == EKWS_UPDATE_COMMIT && bytes == 0) {
    status = switch_models();
  }
  ekws_send_result(kind, status);
}

static void take_frame(void) {
  const uint8_t *body = ekws_receiver_body(&app.receiver);
  const uint8_t kind = app.receiver.kind;
  const size_t bytes = app.receiver.body_bytes, expected = kind == EKWS_HELLO ? 4 : kind == EKWS_RESET ? 0 : 1;
  if (kind >= 0x80) {
    return; /* our own, from a line that echoes */
  }
  if (kind == EKWS_PCM) {
    take_pcm(body, bytes);
    return;
  }
  if (kind > EKWS_UPDATE_COMMIT || kind == 0) {
    ekws_send_result(kind, EKWS_STATUS_UNKNOWN);
    return;
  }
  if (kind >= EKWS_UPDATE_BEGIN) {
    take_update(kind, body, bytes);
    return;
  }
  if (bytes != expected) {
    ekws_send_result(kind, EKWS_STATUS_MALFORMED);
    return;
  }
  if (kind != EKWS_RESET) { /* answers come in order: what was sent before is heard first */
    listen_to_all();
  }
  switch (kind) {
    case EKWS_HELLO:
      introduce(ekws_get_u32(body));
      return;
    case EKWS_GET_STATS:
      get_stats(body[0] != 0);
      return;
    case EKWS_RESET:
      forget();
      break;
    default:
      app.streams = body[0];
      break;
  }
  ekws_send_result(kind, EKWS_STATUS_OK);
}

static int take_serial(void) {
  uint8_t bytes[SERIAL_CHUNK_BYTES];
  if (ekws_ring_room(&app.ring) < SERIAL_CHUNK_SAMPLES) {
    return 0; /* they wait where they are, and the host waits for them to be taken */
  }
  const size_t count = ekws_port_serial_read(bytes, sizeof bytes);
  app.received += (uint32_t)count;
  for (size_t i = 0; i < count; i++) {
    if (ekws_receiver_take(&app.receiver, bytes[i])) {
      take_frame();
    }
  }
  if (app.received - app.reported >= EKWS_RECEIVE_BYTES / 4) {
    app.reported = app.received;
    ekws_send_received(app.received);
  }
  return count > 0;
}

static void keep_time(void) {
  const uint32_t passed_ms = (ekws_port_time_us() - app.uptime_mark_us) / 1000u;
  app.uptime_ms += passed_ms;
  app.uptime_mark_us += passed_ms * 1000u;
}

int32_t ekws_app_start(void) {
  static const char *const causes[] = {"started", "started anew after a fault", "started anew by the watchdog"};
  ekws_restart_t cause;
  memset(&app, 0, sizeof app);
  app.uptime_mark_us = ekws_port_time_us();
  ekws_receiver_init(&app.receiver);
  ekws_sender_init();
  int32_t status = start_models(ekws_slots_active());
  if (status != EKWS_OK && app.slot != 0) { /* a model of an older firmware */
    ekws_send_log(1, "leaves the model in its slot alone: it does not suit this firmware");
    status = start_models(0);
  }
  if (status != EKWS_OK) {
    ekws_send_log(1, status == EKWS_ERROR_CAPACITY ? "the models need more memory than the arena has" : "a model's front end is not here");
    return status;
  }
  ekws_port_restarts(&cause);
  ekws_send_log(cause != EKWS_RESTART_POWER, causes[cause]);
  return EKWS_OK;
}

int ekws_app_step(void) {
  keep_time();
  const int took = take_serial(), heard = listen();
  return took || heard;
}
