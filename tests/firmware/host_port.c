/* A port for this machine, for tests of the app: the serial line is two arrays, time advances when somebody looks. */
#include "host_port.h"

#include <string.h>

#include "port.h"

static const uint8_t *to_board;
static size_t to_board_bytes;
uint8_t host_sent[HOST_SENT_BYTES];
size_t host_sent_bytes;
uint32_t host_write_room = UINT32_MAX;
static uint32_t now_us;

void host_give(const uint8_t *bytes, size_t count) {
  to_board = bytes;
  to_board_bytes = count;
}

size_t host_left(void) { return to_board_bytes; }

void ekws_port_start(void) {}
uint32_t ekws_port_time_us(void) { return now_us += 7; }

size_t ekws_port_serial_read(uint8_t *bytes, size_t capacity) {
  const size_t count = capacity < to_board_bytes ? capacity : to_board_bytes;
  if (count > 0) {
    memcpy(bytes, to_board, count);
    to_board += count;
    to_board_bytes -= count;
  }
  return count;
}

size_t ekws_port_serial_write(const uint8_t *bytes, size_t count) {
  if (count > host_write_room) {
    count = host_write_room;
  }
  host_write_room -= host_write_room == UINT32_MAX ? 0 : (uint32_t)count;
  const size_t kept = count < HOST_SENT_BYTES - host_sent_bytes ? count : HOST_SENT_BYTES - host_sent_bytes;
  memcpy(host_sent + host_sent_bytes, bytes, kept);
  host_sent_bytes += kept;
  return count;
}

void ekws_port_sleep(void) {}
uint32_t ekws_port_watchdog_ms(void) { return 0; }
void ekws_port_watchdog_feed(void) {}
uint32_t ekws_port_stack_bytes(void) { return 1; }
uint32_t ekws_port_stack_used(void) { return 1; }

uint32_t ekws_port_restarts(ekws_restart_t *cause) {
  *cause = EKWS_RESTART_POWER;
  return 0;
}
