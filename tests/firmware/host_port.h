#ifndef HOST_PORT_H
#define HOST_PORT_H

#include <stddef.h>
#include <stdint.h>

#define HOST_SENT_BYTES (1u << 22)

extern uint8_t host_sent[HOST_SENT_BYTES]; /* what the board sent; what finds no room is dropped */
extern size_t host_sent_bytes;
extern uint32_t host_write_room; /* bytes the line still takes; UINT32_MAX: any number */

void host_give(const uint8_t *bytes, size_t count);
size_t host_left(void);

#endif
