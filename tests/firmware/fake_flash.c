/* A model of flash for tests of the slots: erase blocks, write units that only clear bits, and power that fails in the middle of any
 * operation, which then is half done. */
#include <string.h>

#include "ekws_board.h"
#include "port.h"
#include "slots.h"

#define FLASH_BYTES (EKWS_SLOT_COUNT * EKWS_SLOT_BYTES)

static uint64_t storage[FLASH_BYTES / 8];
#define FLASH ((uint8_t *)storage)
uint32_t flash_operations; /* since the test began: blocks erased and units written */
uint32_t flash_cut_at;     /* the operation in which power fails; 0: never */
uint32_t flash_seed;       /* which bits a half done operation has reached */
uint32_t flash_misuse;     /* writes beyond a slot, across units, or of bits that are clear already */

static uint32_t random_word(void) {
  flash_seed = flash_seed * 1664525u + 1013904223u;
  return flash_seed >> 8;
}

/* Whether this operation is done: 1 wholly, 0 not any more, -1 partly. */
static int power(void) {
  flash_operations++;
  return flash_cut_at == 0 || flash_operations < flash_cut_at ? 1 : flash_operations == flash_cut_at ? -1 : 0;
}

uint8_t *flash_bytes(void) { return FLASH; }
const uint8_t *ekws_port_flash(void) { return FLASH; }

int ekws_port_flash_erase(uint32_t offset) {
  const int powered = power();
  flash_misuse += offset % EKWS_FLASH_ERASE_BYTES != 0 || offset >= FLASH_BYTES;
  for (uint32_t i = 0; i < EKWS_FLASH_ERASE_BYTES && powered != 0; i++) {
    FLASH[offset + i] |= powered > 0 ? 0xff : (uint8_t)random_word();
  }
  return powered > 0;
}

int ekws_port_flash_write(uint32_t offset, const uint8_t *bytes, size_t count) {
  flash_misuse += offset % EKWS_FLASH_WRITE_BYTES != 0 || count % EKWS_FLASH_WRITE_BYTES != 0 || offset + count > FLASH_BYTES;
  for (size_t i = 0; i < count; i += EKWS_FLASH_WRITE_BYTES) {
    const int powered = power();
    for (size_t k = i; k < i + EKWS_FLASH_WRITE_BYTES && powered != 0; k++) {
      flash_misuse += (FLASH[offset + k] & bytes[k]) != bytes[k];
      FLASH[offset + k] &= (uint8_t)(bytes[k] | (powered > 0 ? 0 : random_word()));
    }
    if (powered <= 0) {
      return 0;
    }
  }
  return 1;
}

void ekws_port_watchdog_feed(void) {}

size_t image_head_bytes(void) { return sizeof(ekws_image_t); }
size_t image_model_offset(void) { return offsetof(ekws_image_t, model); }

/* The pointers of an image's model, all to its last byte, as far as a check looks at them. */
void image_fill_model(uint8_t *image, size_t bytes) {
  ekws_image_t head;
  memcpy(&head, image, sizeof head);
  head.model.name = (const char *)(bytes - 1);
  head.model.labels = (const char *)(bytes - 1);
  head.model.decoder.thresholds = (const uint16_t *)(bytes - 1);
  head.model.reset = (void (*)(void *))(bytes - 1);
  head.model.push = (int32_t(*)(void *, const int8_t *, int8_t *))(bytes - 1);
  memcpy(image, &head, sizeof head);
}
