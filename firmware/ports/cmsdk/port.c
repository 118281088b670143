/* Arm's CMSDK and SSE subsystems (MPS2 and MPS3 boards): APB UART and APB watchdog. */
#include "core.h"
#include "ekws_board.h"

#define UART_DATA CORE_REGISTER(EKWS_UART_BASE + 0x00u)
#define UART_STATE CORE_REGISTER(EKWS_UART_BASE + 0x04u) /* 1: sender full, 2: a byte waits */
#define UART_CTRL CORE_REGISTER(EKWS_UART_BASE + 0x08u)
#define UART_INTCLEAR CORE_REGISTER(EKWS_UART_BASE + 0x0cu)
#define UART_BAUDDIV CORE_REGISTER(EKWS_UART_BASE + 0x10u)

static int uart_has_byte(void) { return (UART_STATE & 2u) != 0; }
static uint8_t uart_take_byte(void) { return (uint8_t)UART_DATA; }
static void uart_listen(int on) { UART_CTRL = on ? 0x0bu : 0x03u; } /* send, receive, and perhaps interrupt on a byte */

#include "serial_ring.h"

void ekws_port_uart_interrupt(void) {
  UART_INTCLEAR = 2;
  receive();
}

size_t ekws_port_serial_write(const uint8_t *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count && (UART_STATE & 1u) == 0) {
    UART_DATA = bytes[sent++];
  }
  return sent;
}

uint32_t ekws_port_time_us(void) { return core_systick_us(); }

#if defined(EKWS_WATCHDOG_BASE)
#define WATCHDOG_LOAD CORE_REGISTER(EKWS_WATCHDOG_BASE + 0x00u)
#define WATCHDOG_CONTROL CORE_REGISTER(EKWS_WATCHDOG_BASE + 0x08u)
#define WATCHDOG_INTCLEAR CORE_REGISTER(EKWS_WATCHDOG_BASE + 0x0cu)
#define WATCHDOG_LOCK CORE_REGISTER(EKWS_WATCHDOG_BASE + 0xc00u)

/* The first time it runs out it raises the NMI, whose handler restarts; a second time it resets by itself. */
static void start_watchdog(void) {
  WATCHDOG_LOCK = 0x1acce551u;
  WATCHDOG_LOAD = EKWS_WATCHDOG_MS * (EKWS_CLOCK_HZ / 1000u);
  WATCHDOG_CONTROL = 3;
}

uint32_t ekws_port_watchdog_ms(void) { return EKWS_WATCHDOG_MS; }
void ekws_port_watchdog_feed(void) { WATCHDOG_INTCLEAR = 1; }
#else
static void start_watchdog(void) {}
uint32_t ekws_port_watchdog_ms(void) { return 0; }
void ekws_port_watchdog_feed(void) {}
#endif

#if defined(EKWS_SLOT_BYTES)
/* These boards keep their program in RAM; it is treated as flash of the given blocks and units. */
const uint8_t *ekws_port_flash(void) { return (const uint8_t *)EKWS_SLOTS_ORIGIN; }

int ekws_port_flash_erase(uint32_t offset) {
  volatile uint32_t *to = (volatile uint32_t *)(EKWS_SLOTS_ORIGIN + offset);
  for (uint32_t i = 0; i < EKWS_FLASH_ERASE_BYTES / 4u; i++) {
    to[i] = UINT32_MAX;
  }
  return 1;
}

int ekws_port_flash_write(uint32_t offset, const uint8_t *bytes, size_t count) {
  volatile uint8_t *to = (volatile uint8_t *)(EKWS_SLOTS_ORIGIN + offset);
  for (size_t i = 0; i < count; i++) {
    to[i] = to[i] & bytes[i];
  }
  return 1;
}
#endif

void ekws_port_start(void) {
  core_start_systick();
  UART_BAUDDIV = EKWS_CLOCK_HZ / EKWS_BAUD;
  uart_listen(1);
  (void)uart_take_byte(); /* from before start; some UARTs take no other until it is gone */
  core_enable_interrupt(EKWS_UART_IRQ);
  start_watchdog();
}
