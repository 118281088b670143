/* Model slots: two places in flash for a model image, of which one runs while the other is written. An image is checked whole before
 * one word, the last that is written, makes it the one that runs; whatever is cut off before leaves the old one running.
 *
 * A slot is EKWS_SLOT_BYTES: the image from its beginning, the activation record in its last EKWS_FLASH_WRITE_BYTES. */
#ifndef EKWS_SLOTS_H
#define EKWS_SLOTS_H

#include "ekws.h"
#include "messages.h"

#define EKWS_SLOT_COUNT 2
#define EKWS_IMAGE_MAGIC 0x6d776b65u /* "ekwm" */
#define EKWS_IMAGE_ABI 1u            /* of ekws_image_t and ekws_model_t */

/* Where an image begins. Linked for address 0: pointers of `model` count from there, its code runs anywhere. */
typedef struct {
  uint32_t magic, abi;
  uint32_t core;        /* EKWS_CORE of the board it is for */
  uint32_t image_bytes; /* all of it */
  uint8_t sha256[32];   /* of all that follows */
  ekws_model_t model;
} ekws_image_t;

/* The slot that runs, 1 or 2; 0: none, the built-in models do. */
uint8_t ekws_slots_active(void);

/* An image into the slot that does not run: begin erases it, write takes the bytes in order, check tells whether what lies there is an
 * image for this firmware, activate makes it the one that runs. The owner's ekws_verify is asked by check. */
ekws_status_code_t ekws_slots_begin(uint32_t image_bytes);
ekws_status_code_t ekws_slots_write(uint32_t offset, const uint8_t *bytes, size_t count);
ekws_status_code_t ekws_slots_check(void);
ekws_status_code_t ekws_slots_activate(void);

/* The model in a slot (1 or 2) that was checked, with pointers that hold there. */
void ekws_slots_model(uint8_t slot, ekws_model_t *model);
/* The slot that begin chose. */
uint8_t ekws_slots_candidate(void);

/* A hook: whether an image that is sound may run. Trusts every one unless the owner links another, for example one that checks a
 * signature. */
int ekws_verify(const uint8_t *image, size_t image_bytes);

#endif
