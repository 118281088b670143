/* The receiving side of a serial line: an interrupt fills a ring, the app empties it. A port includes this once, after
 *   static int uart_has_byte(void);      whether a byte waits in the UART
 *   static uint8_t uart_take_byte(void); takes it
 *   static void uart_listen(int on);     whether a byte that waits interrupts
 * and calls `receive` from its interrupt. Bytes that find no room stay in the UART, which then is not listened to; the host sends no more
 * than EKWS_RECEIVE_BYTES ahead. */
#ifndef EKWS_SERIAL_RING_H
#define EKWS_SERIAL_RING_H

#include "core.h"
#include "ekws_board.h"

#if (EKWS_RECEIVE_BYTES & (EKWS_RECEIVE_BYTES - 1)) != 0
#error "EKWS_RECEIVE_BYTES: expected a power of two"
#endif

static volatile uint32_t ring_head, ring_tail;
static volatile uint8_t ring_bytes[EKWS_RECEIVE_BYTES];

/* Interrupts are off, or this is one. */
static void receive(void) {
  while (ring_head - ring_tail < EKWS_RECEIVE_BYTES && uart_has_byte()) {
    ring_bytes[ring_head % EKWS_RECEIVE_BYTES] = uart_take_byte();
    ring_head = ring_head + 1;
  }
  uart_listen(ring_head - ring_tail < EKWS_RECEIVE_BYTES);
}

size_t ekws_port_serial_read(uint8_t *bytes, size_t capacity) {
  core_interrupts_off();
  receive();
  core_interrupts_on();
  size_t count = 0;
  while (count < capacity && ring_tail != ring_head) {
    bytes[count++] = ring_bytes[ring_tail % EKWS_RECEIVE_BYTES];
    ring_tail = ring_tail + 1;
  }
  return count;
}

void ekws_port_sleep(void) {
  core_interrupts_off();
  receive();
  if (ring_head == ring_tail) {
    core_wait();
  }
  core_interrupts_on();
}

#endif
