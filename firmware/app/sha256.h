/* SHA-256 (FIPS 180-4) of memory. */
#ifndef EKWS_SHA256_H
#define EKWS_SHA256_H

#include <stddef.h>
#include <stdint.h>

void ekws_sha256(const uint8_t *bytes, size_t count, uint8_t digest[32]);

#endif
