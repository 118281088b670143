#include "messages.h"

#include <string.h>

#include "ekws_board.h"
#include "port.h"

#define STALLED_US 200000u /* no byte leaves for so long: nobody is there */

#if defined(EKWS_SLOT_BYTES)
#define MODEL_SLOTS 2
#define SLOT_BYTES EKWS_SLOT_BYTES
#else
#define MODEL_SLOTS 0
#define SLOT_BYTES 0
#endif

static struct {
  uint8_t frame[EKWS_FRAME_BYTES];
  uint16_t sequence;
  uint8_t torn; /* a frame was given up half sent: a zero must end it */
  uint32_t dropped;
  uint32_t busy_us;
} sender;

void ekws_sender_init(void) {
  memset(&sender, 0, sizeof sender);
  sender.torn = 1; /* whatever was on the line before start ends here */
}

uint32_t ekws_sender_dropped(void) { return sender.dropped; }
uint32_t ekws_sender_us(void) { return sender.busy_us; }

static int write_all(const uint8_t *bytes, size_t count) {
  uint32_t moved = ekws_port_time_us();
  while (count > 0) {
    const size_t taken = ekws_port_serial_write(bytes, count);
    const uint32_t now = ekws_port_time_us();
    if (taken > 0) {
      bytes += taken;
      count -= taken;
      moved = now;
      ekws_port_watchdog_feed();
    } else if (now - moved > STALLED_US) {
      return 0;
    }
  }
  return 1;
}

/* Where the body of the next frame is written. */
static uint8_t *body(void) { return sender.frame + 1 + EKWS_HEAD_BYTES; }

/* Sends the frame whose body ends before `end`. */
static void send(ekws_kind_t kind, const uint8_t *end) {
  static const uint8_t zero = 0;
  const uint32_t start = ekws_port_time_us();
  const size_t length = ekws_frame_encode(sender.frame, (uint8_t)kind, sender.sequence, body(), (size_t)(end - body()));
  sender.sequence = (uint16_t)(sender.sequence == UINT16_MAX ? 1 : sender.sequence + 1);
  const int whole = (!sender.torn || write_all(&zero, 1)) && write_all(sender.frame, length);
  sender.torn = !whole;
  sender.dropped += !whole;
  sender.busy_us += ekws_port_time_us() - start;
}

static uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t count) {
  memcpy(to, bytes, count);
  return to + count;
}

/* As much of a text as the frame has room for. */
static uint8_t *put_text(uint8_t *to, const char *text) {
  const uint8_t *end = body() + EKWS_BODY_BYTES;
  while (*text != '\0' && to < end) {
    *to++ = (uint8_t)*text++;
  }
  return to;
}

void ekws_send_info(const ekws_t *ekws, uint32_t token, uint32_t received) {
  uint8_t *to = ekws_put_u32(ekws_put_u32(body(), token), received);
  to = ekws_put_u16(to, EKWS_RECEIVE_BYTES);
  to = ekws_put_u16(to, EKWS_RING_SAMPLES);
  *to++ = ekws->model_count;
  *to++ = ekws->frontend_count;
  *to++ = EKWS_SOURCE_SERIAL;
  *to++ = MODEL_SLOTS;
  to = ekws_put_u16(to, (uint16_t)ekws_port_watchdog_ms());
  to = ekws_put_u16(to, ekws->spectrum.config->window_samples);
  to = ekws_put_u16(to, ekws->spectrum.config->hop_samples);
  to = ekws_put_u32(to, SLOT_BYTES);
  send(EKWS_INFO, put_text(to, EKWS_BOARD_NAME));
}

void ekws_send_model(const ekws_t *ekws, uint8_t index, uint8_t slot) {
  const ekws_model_t *model = ekws->listeners[index].model;
  uint8_t *to = body();
  *to++ = index;
  *to++ = ekws->listeners[index].frontend;
  *to++ = model->decoder.classes;
  *to++ = slot;
  to = ekws_put_u16(ekws_put_u16(to, model->window_rows), model->stride_rows);
  to = put_bytes(put_bytes(to, model->digest, EKWS_DIGEST_BYTES), model->frontend_digest, EKWS_DIGEST_BYTES);
  send(EKWS_MODEL, put_text(to, model->name));
}

void ekws_send_label(const ekws_t *ekws, uint8_t index, uint8_t class_index, const char *text) {
  uint8_t *to = body();
  *to++ = index;
  *to++ = class_index;
  to = ekws_put_u16(to, ekws->listeners[index].model->decoder.thresholds[class_index]);
  send(EKWS_LABEL, put_text(to, text));
}

void ekws_send_result(uint8_t kind, ekws_status_code_t status) {
  uint8_t *to = body();
  *to++ = kind;
  *to++ = (uint8_t)status;
  send(EKWS_RESULT, to);
}

void ekws_send_received(uint32_t received) { send(EKWS_RECEIVED, ekws_put_u32(body(), received)); }

void ekws_send_features(uint8_t frontend, uint32_t frame, const int8_t *features, size_t mel_bins) {
  uint8_t *to = body();
  *to++ = frontend;
  send(EKWS_FEATURES, put_bytes(ekws_put_u32(to, frame), features, mel_bins));
}

void ekws_send_scores(uint8_t model, uint32_t step, const int8_t *posteriors, const ekws_decoder_t *decoder) {
  const size_t classes = decoder->config->classes;
  uint8_t *to = body();
  *to++ = model;
  to = put_bytes(ekws_put_u32(to, step), posteriors, classes);
  for (size_t i = 0; i < classes; i++) {
    to = ekws_put_u16(to, ekws_decoder_score(decoder, i));
  }
  send(EKWS_SCORES, to);
}

void ekws_send_event(const ekws_event_t *event) {
  uint8_t *to = body();
  *to++ = event->model;
  *to++ = event->class_index;
  send(EKWS_EVENT, ekws_put_u64(ekws_put_u64(ekws_put_u16(to, event->score), event->start), event->end));
}

void ekws_send_gap(uint64_t start, uint64_t end, uint8_t reason) {
  uint8_t *to = ekws_put_u64(ekws_put_u64(body(), start), end);
  *to++ = reason;
  send(EKWS_GAP, to);
}

void ekws_send_level(uint64_t position, uint32_t mean_square, uint16_t peak) {
  send(EKWS_LEVEL, ekws_put_u16(ekws_put_u32(ekws_put_u64(body(), position), mean_square), peak));
}

void ekws_send_audio(uint64_t position, const int16_t *samples, size_t count) {
  uint8_t *to = ekws_put_u64(body(), position);
  for (size_t i = 0; i < count; i++) {
    to = ekws_put_u16(to, (uint16_t)samples[i]);
  }
  send(EKWS_AUDIO, to);
}

void ekws_send_stats(const ekws_stats_t *stats) {
  const uint32_t *numbers = (const uint32_t *)stats;
  uint8_t *to = body();
  for (size_t i = 0; i < sizeof *stats / sizeof *numbers; i++) {
    to = ekws_put_u32(to, numbers[i]);
  }
  send(EKWS_STATS, to);
}

void ekws_send_log(uint8_t level, const char *text) {
  uint8_t *to = body();
  *to++ = level;
  send(EKWS_LOG, put_text(to, text));
}
