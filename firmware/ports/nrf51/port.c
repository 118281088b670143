/* nRF51822: UART without flow control, TIMER0 as a microsecond clock. The chip has no SysTick. */
#include "core.h"
#include "ekws_board.h"

#define UART(offset) CORE_REGISTER(0x40002000u + (offset))
#define UART_STARTRX UART(0x000u)
#define UART_STARTTX UART(0x008u)
#define UART_RXDRDY UART(0x108u)
#define UART_TXDRDY UART(0x11cu)
#define UART_INTENSET UART(0x304u)
#define UART_INTENCLR UART(0x308u)
#define UART_INT_RXDRDY (1u << 2)
#define UART_ENABLE UART(0x500u)
#define UART_PSELTXD UART(0x50cu)
#define UART_PSELRXD UART(0x514u)
#define UART_RXD UART(0x518u)
#define UART_TXD UART(0x51cu)
#define UART_BAUDRATE UART(0x524u)
#define NVMC_READY CORE_REGISTER(0x4001e400u)
#define NVMC_CONFIG CORE_REGISTER(0x4001e504u) /* 0: read only, 1: write, 2: erase */
#define NVMC_ERASEPAGE CORE_REGISTER(0x4001e508u)
#define TIMER0(offset) CORE_REGISTER(0x40008000u + (offset))
#define TIMER0_START TIMER0(0x000u)
#define TIMER0_CAPTURE0 TIMER0(0x040u)
#define TIMER0_BITMODE TIMER0(0x508u)
#define TIMER0_PRESCALER TIMER0(0x510u)
#define TIMER0_CC0 TIMER0(0x540u)

static uint8_t sending; /* a byte is on its way out */

static int uart_has_byte(void) { return UART_RXDRDY != 0; }

static uint8_t uart_take_byte(void) {
  UART_RXDRDY = 0; /* first: reading makes the next byte ready */
  return (uint8_t)UART_RXD;
}

static void uart_listen(int on) {
  if (on) {
    UART_INTENSET = UART_INT_RXDRDY;
  } else {
    UART_INTENCLR = UART_INT_RXDRDY;
  }
}

#include "serial_ring.h"

void ekws_port_uart_interrupt(void) { receive(); }

size_t ekws_port_serial_write(const uint8_t *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count) {
    if (sending && UART_TXDRDY == 0) {
      break;
    }
    UART_TXDRDY = 0;
    UART_TXD = bytes[sent++];
    sending = 1;
  }
  return sent;
}

uint32_t ekws_port_time_us(void) {
  TIMER0_CAPTURE0 = 1;
  return TIMER0_CC0;
}

uint32_t ekws_port_watchdog_ms(void) { return 0; } /* QEMU 7.2 models none */
void ekws_port_watchdog_feed(void) {}

#if defined(EKWS_SLOT_BYTES)
const uint8_t *ekws_port_flash(void) { return (const uint8_t *)EKWS_SLOTS_ORIGIN; }

static void flash_mode(uint32_t mode) {
  while (NVMC_READY == 0) {
  }
  NVMC_CONFIG = mode;
}

int ekws_port_flash_erase(uint32_t offset) {
  flash_mode(2);
  NVMC_ERASEPAGE = EKWS_SLOTS_ORIGIN + offset;
  flash_mode(0);
  return 1;
}

int ekws_port_flash_write(uint32_t offset, const uint8_t *bytes, size_t count) {
  flash_mode(1);
  for (size_t i = 0; i + 4 <= count; i += 4) {
    const uint32_t word = bytes[i] | ((uint32_t)bytes[i + 1] << 8) | ((uint32_t)bytes[i + 2] << 16) | ((uint32_t)bytes[i + 3] << 24);
    CORE_REGISTER(EKWS_SLOTS_ORIGIN + offset + i) = word;
    while (NVMC_READY == 0) {
    }
  }
  flash_mode(0);
  return 1;
}
#endif

void ekws_port_start(void) {
  TIMER0_BITMODE = 3;   /* 32 bits */
  TIMER0_PRESCALER = 4; /* 16 MHz / 2^4 */
  TIMER0_START = 1;
  UART_PSELTXD = EKWS_UART_TX_PIN;
  UART_PSELRXD = EKWS_UART_RX_PIN;
  UART_BAUDRATE = (uint32_t)(((uint64_t)EKWS_BAUD << 32) / 16000000u);
  UART_ENABLE = 4;
  UART_STARTTX = 1;
  UART_STARTRX = 1;
  uart_listen(1);
  (void)uart_take_byte(); /* from before start; some UARTs take no other until it is gone */
  core_enable_interrupt(EKWS_UART_IRQ);
}
