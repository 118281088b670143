#include "slots.h"

#include <string.h>

#include "ekws_board.h"

#if defined(EKWS_SLOT_BYTES)
#include "port.h"
#include "sha256.h"

#define RECORD_OFFSET (EKWS_SLOT_BYTES - EKWS_FLASH_WRITE_BYTES)
#define HASHED_FROM (offsetof(ekws_image_t, sha256) + 32u)

static struct {
  uint8_t slot;    /* being written: 1 or 2; 0: none */
  uint8_t checked; /* what lies there may run */
  uint32_t bytes, written;
} candidate;

static uint32_t origin(uint8_t slot) { return (slot - 1u) * EKWS_SLOT_BYTES; }

static const ekws_image_t *image(uint8_t slot) { return (const ekws_image_t *)(const void *)(ekws_port_flash() + origin(slot)); }

/* A record is a generation and its complement. Flash only clears bits, so one that is half written is none. 0: not activated. */
static uint32_t generation(uint8_t slot) {
  uint32_t record;
  memcpy(&record, ekws_port_flash() + origin(slot) + RECORD_OFFSET, sizeof record);
  return (record >> 16) == (~record & 0xffffu) ? record & 0xffffu : 0;
}

static int inside(const void *pointer, const ekws_image_t *found) {
  return (uintptr_t)pointer >= sizeof *found && (uintptr_t)pointer < found->image_bytes;
}

static ekws_status_code_t check(uint8_t slot) {
  const ekws_image_t *found = image(slot);
  uint8_t digest[32];
  if (found->magic != EKWS_IMAGE_MAGIC || found->image_bytes <= sizeof *found || found->image_bytes > RECORD_OFFSET) {
    return EKWS_STATUS_DAMAGED;
  }
  ekws_sha256((const uint8_t *)found + HASHED_FROM, found->image_bytes - HASHED_FROM, digest);
  if (memcmp(digest, found->sha256, sizeof digest) != 0) {
    return EKWS_STATUS_DAMAGED;
  }
  if (found->abi != EKWS_IMAGE_ABI || found->core != EKWS_CORE) {
    return EKWS_STATUS_WRONG_ABI;
  }
  const ekws_model_t *model = &found->model;
  if (!inside(model->name, found) || !inside(model->labels, found) || !inside(model->decoder.thresholds, found) ||
      !inside((const void *)(uintptr_t)model->reset, found) || !inside((const void *)(uintptr_t)model->push, found)) {
    return EKWS_STATUS_DAMAGED;
  }
  return ekws_verify((const uint8_t *)found, found->image_bytes) ? EKWS_STATUS_OK : EKWS_STATUS_UNTRUSTED;
}

uint8_t ekws_slots_active(void) {
  const uint32_t first = generation(1), second = generation(2);
  const uint8_t newest = first > second ? 1 : 2, other = newest == 1 ? 2 : 1;
  if (generation(newest) > 0 && check(newest) == EKWS_STATUS_OK) {
    return newest;
  }
  return generation(other) > 0 && check(other) == EKWS_STATUS_OK ? other : 0;
}

ekws_status_code_t ekws_slots_begin(uint32_t image_bytes) {
  candidate.slot = 0;
  if (image_bytes <= sizeof(ekws_image_t) || image_bytes > RECORD_OFFSET) {
    return EKWS_STATUS_TOO_LARGE;
  }
  const uint8_t slot = ekws_slots_active() == 1 ? 2 : 1;
  for (uint32_t at = 0; at < EKWS_SLOT_BYTES; at += EKWS_FLASH_ERASE_BYTES) {
    /* From the end: the record goes first, and with it whatever was activated there. */
    if (!ekws_port_flash_erase(origin(slot) + EKWS_SLOT_BYTES - EKWS_FLASH_ERASE_BYTES - at)) {
      return EKWS_STATUS_FLASH;
    }
    ekws_port_watchdog_feed();
  }
  candidate.slot = slot;
  candidate.checked = 0;
  candidate.bytes = image_bytes;
  candidate.written = 0;
  return EKWS_STATUS_OK;
}

ekws_status_code_t ekws_slots_write(uint32_t offset, const uint8_t *bytes, size_t count) {
  uint8_t padded[(EKWS_BODY_BYTES + EKWS_FLASH_WRITE_BYTES) / EKWS_FLASH_WRITE_BYTES * EKWS_FLASH_WRITE_BYTES];
  if (candidate.slot == 0 || offset != candidate.written || count == 0 || count > candidate.bytes - offset ||
      (count % EKWS_FLASH_WRITE_BYTES != 0 && offset + count != candidate.bytes)) {
    return EKWS_STATUS_OUT_OF_ORDER;
  }
  const size_t whole = (count + EKWS_FLASH_WRITE_BYTES - 1u) / EKWS_FLASH_WRITE_BYTES * EKWS_FLASH_WRITE_BYTES;
  memset(padded, 0xff, sizeof padded);
  memcpy(padded, bytes, count);
  const uint32_t at = origin(candidate.slot) + offset;
  if (!ekws_port_flash_write(at, padded, whole) || memcmp(ekws_port_flash() + at, padded, whole) != 0) {
    candidate.slot = 0;
    return EKWS_STATUS_FLASH;
  }
  candidate.written += (uint32_t)count;
  return EKWS_STATUS_OK;
}

ekws_status_code_t ekws_slots_check(void) {
  if (candidate.slot == 0 || candidate.written != candidate.bytes) {
    return EKWS_STATUS_OUT_OF_ORDER;
  }
  const ekws_status_code_t status =
      image(candidate.slot)->image_bytes == candidate.bytes ? check(candidate.slot) : EKWS_STATUS_DAMAGED;
  candidate.checked = status == EKWS_STATUS_OK;
  return status;
}

ekws_status_code_t ekws_slots_activate(void) {
  uint8_t unit[EKWS_FLASH_WRITE_BYTES];
  const uint8_t slot = candidate.slot;
  const uint32_t next = (slot == 0 ? 0 : generation(slot == 1 ? 2 : 1)) + 1u;
  const uint32_t record = (next & 0xffffu) | (~next << 16);
  candidate.slot = 0;
  if (slot == 0 || !candidate.checked) {
    return EKWS_STATUS_OUT_OF_ORDER;
  }
  memset(unit, 0xff, sizeof unit);
  memcpy(unit, &record, sizeof record);
  const int done = next <= 0xffffu && ekws_port_flash_write(origin(slot) + RECORD_OFFSET, unit, sizeof unit);
  return done && generation(slot) == next ? EKWS_STATUS_OK : EKWS_STATUS_FLASH;
}

uint8_t ekws_slots_candidate(void) { return candidate.slot; }

void ekws_slots_model(uint8_t slot, ekws_model_t *model) {
  const ekws_image_t *found = image(slot);
  const uintptr_t base = (uintptr_t)found;
  *model = found->model;
  model->name = (const char *)(base + (uintptr_t)model->name);
  model->labels = (const char *)(base + (uintptr_t)model->labels);
  model->decoder.thresholds = (const uint16_t *)(base + (uintptr_t)model->decoder.thresholds);
  model->reset = (void (*)(void *))(base + (uintptr_t)model->reset);
  model->push = (int32_t(*)(void *, const int8_t *, int8_t *))(base + (uintptr_t)model->push);
}

__attribute__((weak)) int ekws_verify(const uint8_t *bytes, size_t image_bytes) {
  (void)bytes, (void)image_bytes;
  return 1;
}

#else /* a board without slots */

uint8_t ekws_slots_active(void) { return 0; }
ekws_status_code_t ekws_slots_begin(uint32_t image_bytes) { return (void)image_bytes, EKWS_STATUS_UNSUPPORTED; }
ekws_status_code_t ekws_slots_write(uint32_t offset, const uint8_t *bytes, size_t count) {
  return (void)offset, (void)bytes, (void)count, EKWS_STATUS_UNSUPPORTED;
}
ekws_status_code_t ekws_slots_check(void) { return EKWS_STATUS_UNSUPPORTED; }
ekws_status_code_t ekws_slots_activate(void) { return EKWS_STATUS_UNSUPPORTED; }
void ekws_slots_model(uint8_t slot, ekws_model_t *model) { (void)slot, (void)model; }
uint8_t ekws_slots_candidate(void) { return 0; }

#endif
