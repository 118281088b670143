/* Samples on their way to the front end. One writer, one reader; head and tail count samples and are only ever written by one of them. */
#ifndef EKWS_SAMPLE_RING_H
#define EKWS_SAMPLE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "ekws_board.h"

#if (EKWS_RING_SAMPLES & (EKWS_RING_SAMPLES - 1)) != 0
#error "EKWS_RING_SAMPLES: expected a power of two"
#endif

typedef struct {
  volatile uint32_t head, tail;
  int16_t samples[EKWS_RING_SAMPLES];
} ekws_sample_ring_t;

static inline size_t ekws_ring_filled(const ekws_sample_ring_t *ring) { return ring->head - ring->tail; }
static inline size_t ekws_ring_room(const ekws_sample_ring_t *ring) { return EKWS_RING_SAMPLES - ekws_ring_filled(ring); }

static inline void ekws_ring_push(ekws_sample_ring_t *ring, int16_t sample) {
  ring->samples[ring->head % EKWS_RING_SAMPLES] = sample;
  ring->head = ring->head + 1;
}

/* The oldest samples that lie in one piece; they stay in the ring. */
static inline size_t ekws_ring_peek(const ekws_sample_ring_t *ring, const int16_t **samples) {
  const size_t at = ring->tail % EKWS_RING_SAMPLES, filled = ekws_ring_filled(ring);
  *samples = ring->samples + at;
  return filled < EKWS_RING_SAMPLES - at ? filled : EKWS_RING_SAMPLES - at;
}

static inline void ekws_ring_drop(ekws_sample_ring_t *ring, size_t count) { ring->tail = ring->tail + (uint32_t)count; }

#endif
