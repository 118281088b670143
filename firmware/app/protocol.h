/* Frames of the serial protocol: COBS, CRC-32, versioned. docs/protocol.md describes them; boards/edge_kws_boards/protocol.py and
 * messages.py are the other side, and tests hold the two together.
 *
 * packet = version u8 | kind u8 | sequence u16 | body (0 .. EKWS_BODY_BYTES) | CRC-32 of all before u32, little-endian
 * frame = COBS(packet) | 0. Packets are so short that COBS adds exactly one byte. */
#ifndef EKWS_PROTOCOL_H
#define EKWS_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define EKWS_PROTOCOL_VERSION 1
#define EKWS_BODY_BYTES 246
#define EKWS_HEAD_BYTES 4
#define EKWS_CRC_BYTES 4
#define EKWS_PACKET_BYTES (EKWS_HEAD_BYTES + EKWS_BODY_BYTES + EKWS_CRC_BYTES)
#define EKWS_FRAME_BYTES (1 + EKWS_PACKET_BYTES + 1)

/* Kinds below 0x80 go to the board, the others come from it. */
typedef enum {
  EKWS_HELLO = 0x01,
  EKWS_RESET = 0x02,
  EKWS_SUBSCRIBE = 0x03,
  EKWS_PCM = 0x04,
  EKWS_GET_STATS = 0x05,
  EKWS_UPDATE_BEGIN = 0x06,
  EKWS_UPDATE_DATA = 0x07,
  EKWS_UPDATE_COMMIT = 0x08,
  EKWS_INFO = 0x81,
  EKWS_MODEL = 0x82,
  EKWS_LABEL = 0x83,
  EKWS_RESULT = 0x84,
  EKWS_RECEIVED = 0x85,
  EKWS_FEATURES = 0x86,
  EKWS_SCORES = 0x87,
  EKWS_EVENT = 0x88,
  EKWS_GAP = 0x89,
  EKWS_LEVEL = 0x8a,
  EKWS_AUDIO = 0x8b,
  EKWS_STATS = 0x8c,
  EKWS_LOG = 0x8d,
} ekws_kind_t;

typedef struct {
  uint32_t frames;   /* whole frames of this version */
  uint32_t corrupt;  /* no COBS, shorter than head and CRC, or another CRC */
  uint32_t too_long; /* longer than any frame */
  uint32_t foreign;  /* whole frames of another version */
  uint32_t lost;     /* frames missing between others, by their sequence numbers */
} ekws_link_counts_t;

typedef struct {
  ekws_link_counts_t counts;
  uint8_t kind;       /* of the last frame */
  uint8_t body_bytes; /* of the last frame */
  uint8_t skipping;   /* nothing counts before the next zero */
  uint8_t started;    /* a sequence number is known */
  uint16_t sequence;  /* the last one */
  uint16_t filled;
  uint32_t packet[(EKWS_FRAME_BYTES + 3) / 4]; /* words, so that the body, at byte 4, is aligned */
} ekws_receiver_t;

void ekws_receiver_init(ekws_receiver_t *receiver);

/* Takes a byte of any stream. Returns 1 when it completed a frame, whose kind and body stay until the next call, else 0. */
int ekws_receiver_take(ekws_receiver_t *receiver, uint8_t byte);

const uint8_t *ekws_receiver_body(const ekws_receiver_t *receiver);

/* Writes a frame (at most EKWS_FRAME_BYTES) and returns its length; `body` may lie at frame + 1 + EKWS_HEAD_BYTES already. Sequence
 * numbers start at 0, which nothing is missing before, and go from 65535 on to 1. */
size_t ekws_frame_encode(uint8_t *frame, uint8_t kind, uint16_t sequence, const uint8_t *body, size_t body_bytes);

uint32_t ekws_crc32(const uint8_t *bytes, size_t count);

/* Little-endian numbers at any address. The writers return where the next one goes. */
uint16_t ekws_get_u16(const uint8_t *from);
uint32_t ekws_get_u32(const uint8_t *from);
uint8_t *ekws_put_u16(uint8_t *to, uint16_t value);
uint8_t *ekws_put_u32(uint8_t *to, uint32_t value);
uint8_t *ekws_put_u64(uint8_t *to, uint64_t value);

#endif
