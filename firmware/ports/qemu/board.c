#include "board.h"

extern uint32_t board_data_load[], board_data_begin[], board_data_end[], board_bss_begin[], board_bss_end[], board_stack_limit[];
extern uint32_t board_stack_top[];

#define SYS_OPEN 0x01u
#define SYS_WRITE0 0x04u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_EXIT_EXTENDED 0x20u
#define EXIT_APPLICATION 0x20026u
#define FAULT_STATUS 99
#define PAINT 0xa5a5a5a5u
#define MARGIN_WORDS 16u

#if defined(__arm__)
__attribute__((noinline)) static uintptr_t semihost(uintptr_t operation, const void *block) {
  register uintptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
static uintptr_t stack_pointer(void) {
  uintptr_t sp;
  __asm__ volatile("mov %0, sp" : "=r"(sp));
  return sp;
}
#else
__attribute__((noinline, aligned(16))) static uintptr_t semihost(uintptr_t operation, const void *block) {
  register uintptr_t a0 __asm__("a0") = operation;
  register const void *a1 __asm__("a1") = block;
  __asm__ volatile(".option push\n.option norvc\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop" : "+r"(a0) : "r"(a1) : "memory");
  return a0;
}
static uintptr_t stack_pointer(void) {
  uintptr_t sp;
  __asm__ volatile("mv %0, sp" : "=r"(sp));
  return sp;
}
#endif

static uintptr_t input_file, output_file;

static uintptr_t open_file(const char *name, uintptr_t length, uintptr_t mode) {
  const uintptr_t block[3] = {(uintptr_t)name, mode, length};
  return semihost(SYS_OPEN, block) + 1u; /* 0: not open */
}

size_t board_read(void *bytes, size_t count) {
  const uintptr_t block[3] = {input_file - 1u, (uintptr_t)bytes, count};
  return input_file != 0 ? count - semihost(SYS_READ, block) : 0;
}

void board_write(const void *bytes, size_t count) {
  const uintptr_t block[3] = {output_file - 1u, (uintptr_t)bytes, count};
  semihost(SYS_WRITE, block);
}

/* No division: where the core has none, the library's would count as the model's code. */
void board_report(const char *name, uint32_t value) {
  static const uint32_t powers[10] = {1000000000u, 100000000u, 10000000u, 1000000u, 100000u, 10000u, 1000u, 100u, 10u, 1u};
  char digits[12];
  for (unsigned i = 0; i < 10; i++) {
    digits[i] = '0';
    for (; value >= powers[i]; value -= powers[i]) {
      digits[i]++;
    }
  }
  digits[10] = '\n';
  digits[11] = '\0';
  semihost(SYS_WRITE0, name);
  semihost(SYS_WRITE0, " ");
  semihost(SYS_WRITE0, digits);
}

void board_paint_stack(void) {
  volatile uint32_t *end = (volatile uint32_t *)stack_pointer() - MARGIN_WORDS;
  for (volatile uint32_t *p = board_stack_limit; p < end; p++) {
    *p = PAINT;
  }
}

uint32_t board_stack_used(void) {
  const volatile uint32_t *p = board_stack_limit;
  while ((uintptr_t)p < stack_pointer() && *p == PAINT) {
    p++;
  }
  return (uint32_t)(stack_pointer() - (uintptr_t)p);
}

static void finish(int status) {
  const uintptr_t block[2] = {EXIT_APPLICATION, (uintptr_t)status};
  for (;;) {
    semihost(SYS_EXIT_EXTENDED, block);
  }
}

static void fault(void) {
  semihost(SYS_WRITE0, "fault\n");
  finish(FAULT_STATUS);
}

/* volatile: these loops must not become memcpy and memset, which would then count as the model's code. */
static void run(void) {
  const uint32_t *from = board_data_load;
  for (volatile uint32_t *p = board_data_begin; p < board_data_end; p++) {
    *p = *from++;
  }
  for (volatile uint32_t *p = board_bss_begin; p < board_bss_end; p++) {
    *p = 0;
  }
  input_file = open_file("input", 5, 1);
  output_file = open_file("output", 6, 5);
  finish(board_main());
}

#if defined(__arm__)
void board_reset(void);
__attribute__((section(".vectors"), used)) static const struct {
  void *stack;
  void (*handlers[15])(void);
} vectors = {board_stack_top, {board_reset, fault, fault, fault, fault, fault, fault, 0, 0, 0, fault, fault, 0, fault, fault}};

void board_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: floating point and Helium on */
  __asm__ volatile("dsb\nisb");
#endif
  *(volatile uint32_t *)0xe000ed08u = (uint32_t)&vectors; /* VTOR; M0 has none and ignores this */
  run();
}
#else
__attribute__((naked, section(".vectors"), used)) void board_reset(void) {
  __asm__ volatile(".option arch, +zicsr\nla sp, board_stack_top\nla t0, board_trap\ncsrw mtvec, t0\ncall board_start");
}
__attribute__((used)) void board_start(void) { run(); }
__attribute__((used, aligned(4))) void board_trap(void) { fault(); }
#endif
