/* The whole app on this machine: any requests, any sound, any damage, a line that stalls. Everything it sends must be frames, none of
 * its counters may run backwards, and after all of it a HELLO is answered. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "host_port.h"
#include "protocol.h"

#define CHECK(condition) \
  if (!(condition)) {    \
    abort();             \
  }

static uint8_t line[1u << 16];
static size_t length;

static void add(uint8_t byte) {
  if (length < sizeof line) {
    line[length++] = byte;
  }
}

static void add_frame(uint8_t kind, uint16_t sequence, const uint8_t *body, size_t count) {
  uint8_t frame[EKWS_FRAME_BYTES];
  const size_t bytes = ekws_frame_encode(frame, kind, sequence, body, count);
  for (size_t i = 0; i < bytes; i++) {
    add(frame[i]);
  }
}

/* Input to a line: frames of known kinds with bodies from the input, PCM that follows on, and raw bytes. */
static void make_line(const uint8_t *data, size_t size) {
  uint32_t position = 0;
  uint16_t sequence = 0;
  size_t at = 0;
  while (at + 1 < size) {
    const uint8_t what = data[at++];
    uint8_t body[EKWS_BODY_BYTES] = {0};
    const size_t wanted = data[at++] % (EKWS_BODY_BYTES + 1u), count = wanted < size - at ? wanted : size - at;
    memcpy(body, data + at, count);
    if (what < 0x60) { /* sound */
      ekws_put_u32(body, position);
      const size_t samples = 20 + what;
      add_frame(EKWS_PCM, sequence++, body, 4 + 2 * samples);
      position += (uint32_t)samples + (what % 31 == 0);
    } else if (what < 0xc0) {
      const uint8_t kind = (uint8_t)(1 + what % 8);
      add_frame(kind, sequence++, body, count);
      position = kind == EKWS_RESET ? 0 : position;
      at += count;
    } else if (what < 0xe0) {
      add_frame(what, sequence++, body, count);
      at += count;
    } else {
      for (size_t i = 0; i < count; i++) {
        add(body[i]);
      }
      at += count;
    }
  }
}

static uint32_t run(uint8_t wanted) {
  ekws_receiver_t receiver;
  ekws_receiver_init(&receiver);
  uint32_t found = 0;
  while (ekws_app_step() || host_left() > 0) {
  }
  for (size_t i = 0; i < host_sent_bytes; i++) {
    if (ekws_receiver_take(&receiver, host_sent[i])) {
      CHECK(receiver.kind >= 0x80);
      found += receiver.kind == wanted;
    }
  }
  if (host_write_room == UINT32_MAX && host_sent_bytes < HOST_SENT_BYTES) {
    CHECK(receiver.counts.corrupt == 0 && receiver.counts.too_long == 0 && receiver.counts.foreign == 0);
  }
  host_sent_bytes = 0;
  return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) {
    return 0;
  }
  host_sent_bytes = 0;
  host_write_room = data[0] < 128 ? UINT32_MAX : data[1] * 16u;
  host_give(NULL, 0);
  CHECK(ekws_app_start() == EKWS_OK);
  length = 0;
  make_line(data + 2, size - 2);
  host_give(line, length);
  run(0);
  host_write_room = UINT32_MAX;
  length = 0;
  add(0);
  add_frame(EKWS_HELLO, 0, (const uint8_t *)"\1\2\3\4", 4);
  host_give(line, length);
  CHECK(run(EKWS_INFO) == 1);
  return 0;
}
