/* Any stream of bytes through the receiver; some of the input becomes frames first, so that whole ones are met as well. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

#define CHECK(condition) \
  if (!(condition)) {    \
    abort();             \
  }

static ekws_receiver_t receiver, again;

static void take(uint8_t byte) {
  const uint32_t before = receiver.counts.frames;
  const int complete = ekws_receiver_take(&receiver, byte);
  CHECK(receiver.counts.frames == before + (complete != 0));
  if (!complete) {
    return;
  }
  CHECK(receiver.body_bytes <= EKWS_BODY_BYTES);
  uint8_t frame[EKWS_FRAME_BYTES];
  const size_t length = ekws_frame_encode(frame, receiver.kind, receiver.sequence, ekws_receiver_body(&receiver), receiver.body_bytes);
  CHECK(length <= EKWS_FRAME_BYTES && frame[length - 1] == 0);
  ekws_receiver_init(&again);
  for (size_t i = 0; i < length; i++) {
    CHECK(frame[i] != 0 || i + 1 == length);
    CHECK(ekws_receiver_take(&again, frame[i]) == (i + 1 == length));
  }
  CHECK(again.kind == receiver.kind && again.sequence == receiver.sequence && again.body_bytes == receiver.body_bytes);
  CHECK(memcmp(ekws_receiver_body(&again), ekws_receiver_body(&receiver), receiver.body_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ekws_receiver_init(&receiver);
  size_t at = 0;
  while (at < size) {
    const uint8_t what = data[at++];
    const size_t count = (size - at < (what & 0x7fu)) ? size - at : (what & 0x7fu);
    if (what & 0x80u) { /* a frame, its last byte perhaps damaged */
      uint8_t frame[EKWS_FRAME_BYTES];
      const size_t length = ekws_frame_encode(frame, what, (uint16_t)(what * 257u), data + at, count);
      frame[length / 2] ^= (uint8_t)(count & 1u);
      for (size_t i = 0; i < length; i++) {
        take(frame[i]);
      }
    } else {
      for (size_t i = 0; i < count; i++) {
        take(data[at + i]);
      }
    }
    at += count;
  }
  uint8_t frame[EKWS_FRAME_BYTES];
  const size_t length = ekws_frame_encode(frame, EKWS_HELLO, 1, NULL, 0);
  take(0);
  const uint32_t before = receiver.counts.frames;
  for (size_t i = 0; i < length; i++) {
    take(frame[i]);
  }
  CHECK(receiver.counts.frames == before + 1 && receiver.kind == EKWS_HELLO && receiver.body_bytes == 0);
  return 0;
}
