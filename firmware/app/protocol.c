#include "protocol.h"

#include <string.h>

/* A nibble at a time: 64 bytes of table. */
uint32_t ekws_crc32(const uint8_t *bytes, size_t count) {
  static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                     0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < count; i++) {
    crc = table[(crc ^ bytes[i]) & 15u] ^ (crc >> 4);
    crc = table[(crc ^ ((uint32_t)bytes[i] >> 4)) & 15u] ^ (crc >> 4);
  }
  return ~crc;
}

uint16_t ekws_get_u16(const uint8_t *from) { return (uint16_t)(from[0] | (from[1] << 8)); }

uint32_t ekws_get_u32(const uint8_t *from) { return ekws_get_u16(from) | ((uint32_t)ekws_get_u16(from + 2) << 16); }

uint8_t *ekws_put_u16(uint8_t *to, uint16_t value) {
  to[0] = (uint8_t)value;
  to[1] = (uint8_t)(value >> 8);
  return to + 2;
}

uint8_t *ekws_put_u32(uint8_t *to, uint32_t value) { return ekws_put_u16(ekws_put_u16(to, (uint16_t)value), (uint16_t)(value >> 16)); }

uint8_t *ekws_put_u64(uint8_t *to, uint64_t value) { return ekws_put_u32(ekws_put_u32(to, (uint32_t)value), (uint32_t)(value >> 32)); }

size_t ekws_frame_encode(uint8_t *frame, uint8_t kind, uint16_t sequence, const uint8_t *body, size_t body_bytes) {
  uint8_t *packet = frame + 1;
  packet[0] = EKWS_PROTOCOL_VERSION;
  packet[1] = kind;
  ekws_put_u16(packet + 2, sequence);
  if (body_bytes > 0) {
    memmove(packet + EKWS_HEAD_BYTES, body, body_bytes);
  }
  const size_t checked = EKWS_HEAD_BYTES + body_bytes;
  ekws_put_u32(packet + checked, ekws_crc32(packet, checked));
  /* COBS in place: every zero becomes the distance to the next one; at most 254 bytes need no block in between. */
  const size_t end = 1 + checked + EKWS_CRC_BYTES;
  size_t zero = 0;
  for (size_t i = 1; i < end; i++) {
    if (frame[i] == 0) {
      frame[zero] = (uint8_t)(i - zero);
      zero = i;
    }
  }
  frame[zero] = (uint8_t)(end - zero);
  frame[end] = 0;
  return end + 1;
}

void ekws_receiver_init(ekws_receiver_t *receiver) { memset(receiver, 0, sizeof *receiver); }

const uint8_t *ekws_receiver_body(const ekws_receiver_t *receiver) { return (const uint8_t *)receiver->packet + EKWS_HEAD_BYTES; }

/* COBS back into the packet, in place: what is written never overtakes what is read. Returns its length, or 0 when it is none. */
static size_t unstuff(uint8_t *bytes, size_t count) {
  size_t from = 0, to = 0;
  while (from < count) {
    const size_t code = bytes[from++];
    if (code - 1 > count - from) {
      return 0;
    }
    memmove(bytes + to, bytes + from, code - 1);
    to += code - 1;
    from += code - 1;
    if (code < 255 && from < count) {
      bytes[to++] = 0;
    }
  }
  return to;
}

static void count_lost(ekws_receiver_t *receiver, uint16_t sequence) {
  if (receiver->started && sequence != 0) { /* 0: the sender has started anew */
    const uint32_t skipped = (uint32_t)sequence + (UINT16_MAX - 1u) - receiver->sequence;
    receiver->counts.lost += skipped < UINT16_MAX ? skipped : skipped - UINT16_MAX; /* after 65535 comes 1 */
  }
  receiver->started = 1;
  receiver->sequence = sequence;
}

static int finish(ekws_receiver_t *receiver) {
  uint8_t *packet = (uint8_t *)receiver->packet;
  const size_t length = unstuff(packet, receiver->filled);
  if (length < EKWS_HEAD_BYTES + EKWS_CRC_BYTES || length > EKWS_PACKET_BYTES ||
      ekws_get_u32(packet + length - EKWS_CRC_BYTES) != ekws_crc32(packet, length - EKWS_CRC_BYTES)) {
    receiver->counts.corrupt++;
    return 0;
  }
  if (packet[0] != EKWS_PROTOCOL_VERSION) {
    receiver->counts.foreign++;
    return 0;
  }
  receiver->counts.frames++;
  count_lost(receiver, ekws_get_u16(packet + 2));
  receiver->kind = packet[1];
  receiver->body_bytes = (uint8_t)(length - EKWS_HEAD_BYTES - EKWS_CRC_BYTES);
  return 1;
}

int ekws_receiver_take(ekws_receiver_t *receiver, uint8_t byte) {
  if (byte != 0) {
    if (receiver->filled == EKWS_FRAME_BYTES - 1) {
      receiver->counts.too_long += receiver->skipping == 0;
      receiver->skipping = 1;
    } else {
      ((uint8_t *)receiver->packet)[receiver->filled++] = byte;
    }
    return 0;
  }
  const int complete = receiver->skipping == 0 && receiver->filled > 0 && finish(receiver);
  receiver->skipping = 0;
  receiver->filled = 0;
  return complete;
}
