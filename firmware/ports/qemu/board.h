/* An emulated board (QEMU): start-up, bytes in and out of files on the host, stack depth, and the marks between which the
 * plugin in count_instructions.c counts. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Marks are instructions that do nothing and that no compiler writes. Regions are numbered from 0 and do not nest. */
#if defined(__arm__)
#define BOARD_REGION_BEGIN() __asm__ volatile("mov r10, r10" ::: "memory")
#define BOARD_REGION_END() __asm__ volatile("mov r11, r11" ::: "memory")
#elif defined(__riscv)
#define BOARD_REGION_BEGIN() __asm__ volatile(".word 0x5a5a1037" ::: "memory") /* lui x0, 0x5a5a1 */
#define BOARD_REGION_END() __asm__ volatile(".word 0x5a5a2037" ::: "memory")   /* lui x0, 0x5a5a2 */
#else
#error "board.h: expected an ARM Cortex-M or a RISC-V compiler"
#endif

/* Reads the next bytes of the file `input` in QEMU's working directory; returns how many there were. */
size_t board_read(void *bytes, size_t count);
/* Appends to the file `output` there. */
void board_write(const void *bytes, size_t count);
/* One line "name value" on the console. */
void board_report(const char *name, uint32_t value);

/* Fills the free stack with a pattern; board_stack_used then tells the deepest use since, in bytes below the caller's frame. */
void board_paint_stack(void);
uint32_t board_stack_used(void);

/* The firmware; its result becomes QEMU's exit status. */
int board_main(void);

#endif
