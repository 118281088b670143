/* Messages to the host: what frames of each kind hold. The host's side is boards/edge_kws_boards/messages.py. */
#ifndef EKWS_MESSAGES_H
#define EKWS_MESSAGES_H

#include "ekws.h"
#include "protocol.h"

typedef enum {
  EKWS_STATUS_OK = 0,
  EKWS_STATUS_UNKNOWN = 1,        /* a kind this firmware does not know */
  EKWS_STATUS_MALFORMED = 2,      /* a body that is not of its kind */
  EKWS_STATUS_UNSUPPORTED = 3,    /* nothing on this board does that */
  EKWS_STATUS_TOO_LARGE = 4,      /* more than a slot holds */
  EKWS_STATUS_OUT_OF_ORDER = 5,   /* PCM or update data that does not follow what came before */
  EKWS_STATUS_FLASH = 6,          /* the flash did not take it */
  EKWS_STATUS_DAMAGED = 7,        /* an image that is not what its header says */
  EKWS_STATUS_WRONG_ABI = 8,      /* an image for another firmware */
  EKWS_STATUS_WRONG_FRONTEND = 9, /* a model for a front end that is not on this board */
  EKWS_STATUS_NO_MEMORY = 10,     /* a model that needs more than the arena has */
  EKWS_STATUS_UNTRUSTED = 11,     /* the owner's check refused it */
} ekws_status_code_t;

/* What a host subscribes to. */
#define EKWS_STREAM_FEATURES 1u
#define EKWS_STREAM_SCORES 2u
#define EKWS_STREAM_LEVELS 4u
#define EKWS_STREAM_AUDIO 8u

#define EKWS_SOURCE_SERIAL 1u

#define EKWS_GAP_RING_FULL 0u
#define EKWS_GAP_SERIAL 1u

typedef struct {
  uint32_t uptime_ms, hops, hop_mean_us, hop_most_us, load_permille, overrun_samples, gaps, dropped_frames;
  ekws_link_counts_t link;
  uint32_t stack_used, stack_bytes, arena_used, arena_bytes, restarts, restart_cause;
} ekws_stats_t;

/* Each sends one frame, and waits for room as long as the line moves. */
void ekws_send_info(const ekws_t *ekws, uint32_t token, uint32_t received);
void ekws_send_model(const ekws_t *ekws, uint8_t index, uint8_t slot);
void ekws_send_label(const ekws_t *ekws, uint8_t index, uint8_t class_index, const char *text);
void ekws_send_result(uint8_t kind, ekws_status_code_t status);
void ekws_send_received(uint32_t received);
void ekws_send_features(uint8_t frontend, uint32_t frame, const int8_t *features, size_t mel_bins);
void ekws_send_scores(uint8_t model, uint32_t step, const int8_t *posteriors, const ekws_decoder_t *decoder);
void ekws_send_event(const ekws_event_t *event);
void ekws_send_gap(uint64_t start, uint64_t end, uint8_t reason);
void ekws_send_level(uint64_t position, uint32_t mean_square, uint16_t peak);
void ekws_send_audio(uint64_t position, const int16_t *samples, size_t count);
void ekws_send_stats(const ekws_stats_t *stats);
void ekws_send_log(uint8_t level, const char *text);

/* Frames given up because the line stood still, and microseconds spent sending, since start; both wrap. */
uint32_t ekws_sender_dropped(void);
uint32_t ekws_sender_us(void);
void ekws_sender_init(void);

#endif
