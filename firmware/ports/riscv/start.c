/* RISC-V, machine mode only: start-up, restart, and one trap handler. */
#include "ekws_board.h"
#include "start.h"

#define EXTERNAL_INTERRUPT 0x8000000bu

void core_trap(void) __attribute__((interrupt("machine"), aligned(4)));
void core_start(void);

__attribute__((naked, section(".vectors"), used)) void ekws_start(void) {
  __asm__ volatile(
      ".option push\n.option arch, +zicsr\n.option norelax\nla sp, ekws_stack_top\nla t0, core_trap\ncsrw mtvec, t0\n"
      ".option pop\ncall core_start");
}

__attribute__((used)) void core_start(void) { start_c(); }

void core_restart(ekws_restart_t cause) {
  keep(kept.restarts + 1, (uint32_t)cause);
  CORE_REGISTER(EKWS_RESET_REGISTER) = EKWS_RESET_VALUE;
  for (;;) {
  }
}

void core_trap(void) {
  uint32_t cause;
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, mcause\n.option pop" : "=r"(cause));
  if (cause != EXTERNAL_INTERRUPT) {
    core_restart(EKWS_RESTART_FAULT);
  }
  ekws_port_uart_interrupt();
}
