/* QEMU's RISC-V machine `virt`: a 16550 behind a PLIC, and the CLINT's clock. */
#include "core.h"
#include "ekws_board.h"

#define UART(n) (*(volatile uint8_t *)(uintptr_t)(EKWS_UART_BASE + (n)))
#define UART_DATA UART(0u)
#define UART_INTERRUPTS UART(1u)
#define UART_FIFO UART(2u)
#define UART_STATUS UART(5u) /* 1: a byte waits; 32: room to send */
#define PLIC_BASE 0x0c000000u
#define PLIC_PRIORITY CORE_REGISTER(PLIC_BASE + 4u * EKWS_UART_IRQ)
#define PLIC_ENABLE CORE_REGISTER(PLIC_BASE + 0x2000u)
#define PLIC_THRESHOLD CORE_REGISTER(PLIC_BASE + 0x200000u)
#define PLIC_CLAIM CORE_REGISTER(PLIC_BASE + 0x200004u)
#define CLINT_TIME_LOW CORE_REGISTER(0x0200bff8u)
#define CLINT_TIME_HIGH CORE_REGISTER(0x0200bffcu)
#define TICKS_A_US 10u

static int uart_has_byte(void) { return (UART_STATUS & 1u) != 0; }
static uint8_t uart_take_byte(void) { return UART_DATA; }
static void uart_listen(int on) { UART_INTERRUPTS = on ? 1 : 0; }

#include "serial_ring.h"

void ekws_port_uart_interrupt(void) {
  const uint32_t source = PLIC_CLAIM;
  receive();
  PLIC_CLAIM = source;
}

size_t ekws_port_serial_write(const uint8_t *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count && (UART_STATUS & 32u) != 0) {
    UART_DATA = bytes[sent++];
  }
  return sent;
}

uint32_t ekws_port_time_us(void) {
  uint32_t low, high;
  do {
    high = CLINT_TIME_HIGH;
    low = CLINT_TIME_LOW;
  } while (high != CLINT_TIME_HIGH);
  return (uint32_t)((((uint64_t)high << 32) | low) / TICKS_A_US);
}

uint32_t ekws_port_watchdog_ms(void) { return 0; } /* the machine has none */
void ekws_port_watchdog_feed(void) {}

void ekws_port_start(void) {
  UART_FIFO = 0xc1; /* on; interrupt at 14 bytes, or when no more follow */
  uart_listen(1);
  (void)uart_take_byte(); /* from before start; some UARTs take no other until it is gone */
  PLIC_PRIORITY = 1;
  PLIC_ENABLE = 1u << EKWS_UART_IRQ;
  PLIC_THRESHOLD = 0;
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrs mie, %0\n.option pop" : : "r"(1u << 11));
  core_interrupts_on();
}
