/* STM32 F1 to F4 as QEMU starts them: USART, SysTick. QEMU 7.2 models neither clock tree nor watchdog; a board of flesh and blood needs
 * RCC and pins set up first in ekws_port_start. */
#include "core.h"
#include "ekws_board.h"

#define USART_SR CORE_REGISTER(EKWS_UART_BASE + 0x00u) /* bit 5: a byte waits; bit 7: room to send */
#define USART_DR CORE_REGISTER(EKWS_UART_BASE + 0x04u)
#define USART_BRR CORE_REGISTER(EKWS_UART_BASE + 0x08u)
#define USART_CR1 CORE_REGISTER(EKWS_UART_BASE + 0x0cu)

static int uart_has_byte(void) { return (USART_SR & (1u << 5)) != 0; }
static uint8_t uart_take_byte(void) { return (uint8_t)USART_DR; }
/* On, send, receive, and perhaps interrupt on a byte. */
static void uart_listen(int on) { USART_CR1 = (1u << 13) | (1u << 3) | (1u << 2) | (on ? 1u << 5 : 0u); }

#include "serial_ring.h"

void ekws_port_uart_interrupt(void) { receive(); }

size_t ekws_port_serial_write(const uint8_t *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count && (USART_SR & (1u << 7)) != 0) {
    USART_DR = bytes[sent++];
  }
  return sent;
}

uint32_t ekws_port_time_us(void) { return core_systick_us(); }
uint32_t ekws_port_watchdog_ms(void) { return 0; }
void ekws_port_watchdog_feed(void) {}

void ekws_port_start(void) {
  core_start_systick();
  USART_BRR = EKWS_CLOCK_HZ / EKWS_BAUD;
  uart_listen(1);
  (void)uart_take_byte(); /* from before start; some UARTs take no other until it is gone */
  core_enable_interrupt(EKWS_UART_IRQ);
}
