/* QEMU plugin: counts guest instructions exactly between the marks of board.h, in all and for each address.
 *
 *     cc -O2 -fPIC -shared -fvisibility=hidden -o count_instructions.so count_instructions.c
 *     qemu-system-arm ... -plugin file=count_instructions.so,out=FILE
 *
 * FILE: "region N COUNT" for each region, followed by its lines "at ADDRESS COUNT".
 * Debian ships no qemu-plugin.h: the few declarations needed, of plugin interface version 1, stand here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char *target_name; /* more follows */
} qemu_info_t;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*callback)(unsigned, void *), int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation, void *counter, uint64_t step);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

enum { SLOTS = 1 << 18 };
typedef struct {
  uint64_t address, executed, before;
  bool used;
} slot_t;

static slot_t slots[SLOTS]; /* open hash; fixed, because translated code adds to `executed` in place */
static FILE *report;
static uint32_t begin_mark = 0x46d2, end_mark = 0x46db, mark_bits = 0xffff; /* mov r10, r10; mov r11, r11 */
static unsigned region;

static slot_t *slot_of(uint64_t address) {
  uint32_t at = (uint32_t)(address * 2654435761u) % SLOTS;
  while (slots[at].used && slots[at].address != address) {
    at = (at + 1) % SLOTS;
  }
  slots[at].used = true;
  slots[at].address = address;
  return &slots[at];
}

static void begin(unsigned cpu, void *data) {
  (void)cpu;
  (void)data;
  for (unsigned i = 0; i < SLOTS; i++) {
    slots[i].before = slots[i].executed;
  }
}

static void end(unsigned cpu, void *data) {
  (void)cpu;
  (void)data;
  uint64_t total = 0;
  for (unsigned i = 0; i < SLOTS; i++) {
    total += slots[i].executed - slots[i].before;
  }
  fprintf(report, "region %u %" PRIu64 "\n", region++, total);
  for (unsigned i = 0; i < SLOTS; i++) {
    if (slots[i].executed != slots[i].before) {
      fprintf(report, "at %" PRIx64 " %" PRIu64 "\n", slots[i].address, slots[i].executed - slots[i].before);
    }
  }
  fflush(report);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(block, i);
    const uint8_t *const bytes = qemu_plugin_insn_data(insn);
    uint32_t code = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
    if (qemu_plugin_insn_size(insn) == 4) {
      code |= (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    }
    /* Not the size: at the end of a page QEMU 7.2 looks ahead, and the next halfword counts as this instruction's. */
    code &= mark_bits;
    if (code == begin_mark) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, begin, 0, NULL);
    } else if (code == end_mark) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, end, 0, NULL);
    } else { /* the marks themselves do not count */
      qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &slot_of(qemu_plugin_insn_vaddr(insn))->executed, 1);
    }
  }
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  if (strncmp(info->target_name, "riscv", 5) == 0) {
    begin_mark = 0x5a5a1037; /* lui x0, 0x5a5a1 */
    end_mark = 0x5a5a2037;
    mark_bits = 0xffffffff;
  }
  report = stderr;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "out=", 4) == 0 && (report = fopen(argv[i] + 4, "w")) == NULL) {
      fprintf(stderr, "count_instructions: cannot write %s\n", argv[i] + 4);
      return 1;
    }
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
