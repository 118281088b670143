/* Cortex-M: vectors, start-up, restart, and SysTick as a clock. */
#include "ekws_board.h"
#include "start.h"

#define SYST_CSR CORE_REGISTER(0xe000e010)
#define SYST_RVR CORE_REGISTER(0xe000e014)
#define SYST_CVR CORE_REGISTER(0xe000e018)
#define NVIC_ISER 0xe000e100u
#define VTOR CORE_REGISTER(0xe000ed08)
#define AIRCR CORE_REGISTER(0xe000ed0c)
#define CPACR CORE_REGISTER(0xe000ed88)
#define SYSTICK_PERIOD (1u << 24)
#define TICKS_A_US (EKWS_CLOCK_HZ / 1000000u)

static volatile uint32_t systick_wraps;
static uint32_t clock_ticks, clock_us; /* ticks not yet counted as microseconds, and these */
static uint32_t last_wraps, last_value;

void core_restart(ekws_restart_t cause) {
  keep(kept.restarts + 1, (uint32_t)cause);
  __asm__ volatile("dsb" ::: "memory");
  AIRCR = 0x05fa0004u; /* system reset */
  for (;;) {
  }
}

static void on_fault(void) { core_restart(EKWS_RESTART_FAULT); }
static void on_nmi(void) { core_restart(EKWS_RESTART_WATCHDOG); } /* only watchdogs are connected to it */
static void on_systick(void) { systick_wraps = systick_wraps + 1; }

void ekws_start(void);
__attribute__((section(".vectors"), used)) static const struct {
  void *stack;
  void (*handlers[16 + EKWS_UART_IRQ])(void);
} vectors = {ekws_stack_top,
             {ekws_start, on_nmi, on_fault, on_fault, on_fault, on_fault, on_fault, 0, 0, 0, on_fault, on_fault, 0, on_fault, on_systick,
              [15 + EKWS_UART_IRQ] = ekws_port_uart_interrupt}};

void ekws_start(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  CPACR |= 0xfu << 20; /* floating point and Helium on */
  __asm__ volatile("dsb\nisb");
#endif
  VTOR = (uint32_t)&vectors; /* M0 has none and ignores this */
  start_c();
}

void core_enable_interrupt(uint32_t number) { CORE_REGISTER(NVIC_ISER + 4u * (number / 32u)) = 1u << (number % 32u); }

void core_start_systick(void) {
  SYST_RVR = SYSTICK_PERIOD - 1u;
  SYST_CVR = 0;
  last_value = SYSTICK_PERIOD - 1u; /* what it begins with */
  SYST_CSR = 7;                     /* processor clock, interrupt, on */
}

/* Not from an interrupt. Right as long as it is called before 32 bits of ticks have passed. */
uint32_t core_systick_us(void) {
  uint32_t wraps, value;
  do {
    wraps = systick_wraps;
    value = SYST_CVR;
  } while (wraps != systick_wraps);
  if (value == 0) { /* has the interrupt counted this one already? The next value tells. */
    return clock_us;
  }
  clock_ticks += (wraps - last_wraps) * SYSTICK_PERIOD + last_value - value;
  last_wraps = wraps;
  last_value = value;
  clock_us += clock_ticks / TICKS_A_US;
  clock_ticks %= TICKS_A_US;
  return clock_us;
}
