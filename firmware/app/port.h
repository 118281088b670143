/* What a port provides to the app; ports are the only files that know a chip. docs/porting.md walks through one. */
#ifndef EKWS_PORT_H
#define EKWS_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Clock, serial line, time, watchdog. Called once, before all others. */
void ekws_port_start(void);

/* A clock that never stops, in microseconds; it wraps. */
uint32_t ekws_port_time_us(void);

/* Bytes that arrived since, oldest first: at most `capacity`. They wait in a ring of EKWS_RECEIVE_BYTES, filled by interrupt. */
size_t ekws_port_serial_read(uint8_t *bytes, size_t capacity);

/* Sends as many of the bytes as there is room for now, and returns their number. */
size_t ekws_port_serial_write(const uint8_t *bytes, size_t count);

/* Sleeps until an interrupt; returns at once when bytes wait. */
void ekws_port_sleep(void);

/* Milliseconds after which a board that feeds no more starts anew; 0: there is no watchdog. */
uint32_t ekws_port_watchdog_ms(void);
void ekws_port_watchdog_feed(void);

/* Stack: all of it, and its deepest use since start. */
uint32_t ekws_port_stack_bytes(void);
uint32_t ekws_port_stack_used(void);

/* Model slots, on boards that have EKWS_SLOT_BYTES: flash as it is mapped, a block of EKWS_FLASH_ERASE_BYTES made all ones, and whole
 * units of EKWS_FLASH_WRITE_BYTES written, which only clears bits. Offsets count from the first slot. 1: done, 0: refused. */
const uint8_t *ekws_port_flash(void);
int ekws_port_flash_erase(uint32_t offset);
int ekws_port_flash_write(uint32_t offset, const uint8_t *bytes, size_t count);

/* How often the board has started anew since power was switched on, and why the last time. */
typedef enum { EKWS_RESTART_POWER = 0, EKWS_RESTART_FAULT = 1, EKWS_RESTART_WATCHDOG = 2 } ekws_restart_t;
uint32_t ekws_port_restarts(ekws_restart_t *cause);

#endif
