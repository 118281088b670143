/* What start-up code of a core gives to the ports of its chips. */
#ifndef EKWS_CORE_H
#define EKWS_CORE_H

#include <stdint.h>

#include "port.h"

/* Interrupts off and on; while off, `core_wait` still wakes for a pending one. */
static inline void core_interrupts_off(void) {
#if defined(__arm__)
  __asm__ volatile("cpsid i" ::: "memory");
#else
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrci mstatus, 8\n.option pop" ::: "memory");
#endif
}

static inline void core_interrupts_on(void) {
#if defined(__arm__)
  __asm__ volatile("cpsie i" ::: "memory");
#else
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrsi mstatus, 8\n.option pop" ::: "memory");
#endif
}

static inline void core_wait(void) { __asm__ volatile("wfi" ::: "memory"); }

/* Starts the board anew and remembers why. */
void core_restart(ekws_restart_t cause);

/* The serial line's interrupt (EKWS_UART_IRQ); the port defines it, by way of serial_ring.h. */
void ekws_port_uart_interrupt(void);

/* Cortex-M: SysTick as the clock, for chips that have no better one, and the serial line's interrupt. */
void core_start_systick(void);
uint32_t core_systick_us(void);
void core_enable_interrupt(uint32_t number);

#define CORE_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#endif
