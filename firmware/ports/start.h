/* Start-up that all cores share: memory, stack mark, and what survives a restart. A core's start.c includes it once. */
#ifndef EKWS_START_H
#define EKWS_START_H

#include "core.h"

#define PAINT 0xa5a5a5a5u
#define PAINT_MARGIN_WORDS 16u
#define KEPT_MAGIC 0x656b7773u

extern uint32_t ekws_data_load[], ekws_data_begin[], ekws_data_end[], ekws_bss_begin[], ekws_bss_end[];
extern uint32_t ekws_stack_limit[], ekws_stack_top[];

int main(void);

static struct {
  uint32_t magic, restarts, cause, check;
} kept __attribute__((section(".noinit")));

static uintptr_t stack_pointer(void) {
  uintptr_t sp;
#if defined(__arm__)
  __asm__ volatile("mov %0, sp" : "=r"(sp));
#else
  __asm__ volatile("mv %0, sp" : "=r"(sp));
#endif
  return sp;
}

static void keep(uint32_t restarts, uint32_t cause) {
  kept.magic = KEPT_MAGIC;
  kept.restarts = restarts;
  kept.cause = cause;
  kept.check = KEPT_MAGIC ^ restarts ^ cause;
}

static int kept_is_valid(void) {
  return kept.magic == KEPT_MAGIC && kept.check == (KEPT_MAGIC ^ kept.restarts ^ kept.cause) && kept.cause <= EKWS_RESTART_WATCHDOG;
}

/* Called on the fresh stack with nothing initialised. */
static void start_c(void) {
  volatile uint32_t *limit = (volatile uint32_t *)stack_pointer() - PAINT_MARGIN_WORDS;
  for (volatile uint32_t *p = ekws_stack_limit; p < limit; p++) {
    *p = PAINT;
  }
  const uint32_t *from = ekws_data_load;
  for (volatile uint32_t *p = ekws_data_begin; p < ekws_data_end; p++) {
    *p = *from++;
  }
  for (volatile uint32_t *p = ekws_bss_begin; p < ekws_bss_end; p++) {
    *p = 0;
  }
  if (!kept_is_valid()) {
    keep(0, EKWS_RESTART_POWER);
  }
  main();
  core_restart(EKWS_RESTART_FAULT);
}

uint32_t ekws_port_stack_bytes(void) { return (uint32_t)((uintptr_t)ekws_stack_top - (uintptr_t)ekws_stack_limit); }

uint32_t ekws_port_stack_used(void) {
  const volatile uint32_t *p = ekws_stack_limit;
  while (p < ekws_stack_top && *p == PAINT) {
    p++;
  }
  return (uint32_t)((uintptr_t)ekws_stack_top - (uintptr_t)p);
}

uint32_t ekws_port_restarts(ekws_restart_t *cause) {
  *cause = (ekws_restart_t)kept.cause;
  return kept.restarts;
}

#endif
