/* SPDX-License-Identifier: Apache-2.0 */
/* What must be fast while Unicorn runs the image of a chip: counting instructions, stopping at a
 * count or for an interrupt, and the checks that Unicorn has no notion of. native.py compiles this
 * at run time, binds it, and mirrors struct chip.
 *
 * Everything happens where a block begins. Two faults of Unicorn 2.1 decide that:
 * - After a hook on a memory access, cpu_restore_state has put the IT state of that instruction
 *   into the registers although the translated block goes on; the next block then starts as if it
 *   were conditional. So there is no such hook on memory that the firmware may use. Where the MPU
 *   makes one necessary (a guard inside a page), on_memory puts the IT state back to zero: the
 * block that runs has its conditions compiled in, and one that ends inside an IT block writes the
 * state anew.
 * - A stop inside an IT block resumes without its conditions. So a stop waits for a block that
 *   begins outside of one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECKS 6
#define RANGES 32
#define UNKNOWN 16

enum fault { NONE, NO_EXECUTE, UNALIGNED, NO_FPU, DENIED };

/* An access that traps unless (register + offset) & mask is zero. */
struct check {
  uint32_t pc;
  int32_t offset;
  uint8_t reg, mask, store, bytes;
};

struct block {
  uint32_t address, size, count;
  uint32_t checks, floating;
  struct check check[CHECKS];
};

struct range {
  uint32_t first, last;
};

struct chip {
  /* Unicorn's own functions and numbers of registers: this file needs none of its headers. */
  int (*reg_read)(void *, int, void *);
  int (*reg_write)(void *, int, const void *);
  int (*mem_read)(void *, uint64_t, void *, size_t);
  int (*emu_stop)(void *);
  int32_t registers[16]; /* R0 to R15 */
  int32_t epsr, primask, basepri, faultmask;

  uint64_t instructions; /* that have run */
  uint64_t stop_at;      /* end the run at this number */
  uint32_t want_stop;    /* end the run at the next chance */
  int32_t pending;       /* priority of the most urgent pending exception, 1000: none */
  int32_t active;        /* priority of the running exception, 1000: thread mode */

  uint32_t aligned; /* 0: only what always traps, 1: every access of a word or half word */
  uint32_t fpu_off; /* floating-point instructions trap */
  uint32_t ranges;
  struct range no_execute[RANGES];

  uint32_t fault, fault_pc, fault_address, fault_bytes, fault_store, fault_sp, fault_lr;

  struct block *table;
  uint32_t capacity, used;
};

static uint32_t get(const struct chip *c, void *uc, int reg) {
  uint32_t value = 0;
  c->reg_read(uc, reg, &value);
  return value;
}

/* ---- Reading a block once ---- */

/* Where a register's value comes from: its value at the start of the block plus an offset. */
struct origin {
  uint8_t root;
  int32_t offset;
};

struct reader {
  struct block *block;
  struct origin origin[16];
  uint32_t pc, every;
  int conditional;
};

static void forget(struct reader *r, uint32_t reg) {
  r->origin[reg & 15].root = UNKNOWN;
}

static void move(struct reader *r, uint32_t to, uint32_t from, int32_t by) {
  struct origin o = r->origin[from];
  o.offset += by;
  if (r->conditional)
    o.root = UNKNOWN;
  r->origin[to] = o;
}

static void forget_list(struct reader *r, uint32_t list) {
  for (uint32_t i = 0; i < 16; i++)
    if (list >> i & 1)
      forget(r, i);
}

static int32_t length_of(uint32_t list) {
  int32_t n = 0;
  for (; list; list &= list - 1)
    n += 4;
  return n;
}

/* The access is at base + offset. In an IT block it may not happen, so it is not looked at. */
static void expect(struct reader *r, uint32_t base, int32_t offset, uint32_t mask, int store,
                   int32_t bytes) {
  struct block *b = r->block;
  const struct origin o = r->origin[base];
  if (r->conditional || o.root >= 15)
    return;
  if (o.root == 13 && ((o.offset + offset) & 3) == 0)
    return; /* the stack pointer is a multiple of four by construction */
  for (uint32_t i = 0; i < b->checks; i++)
    if (b->check[i].reg == o.root && ((b->check[i].offset ^ (o.offset + offset)) & 3) == 0 &&
        b->check[i].mask >= mask)
      return;
  if (b->checks < CHECKS)
    b->check[b->checks++] = (struct check){r->pc,         o.offset + offset, o.root,
                                           (uint8_t)mask, (uint8_t)store,    (uint8_t)bytes};
}

static void read_short(struct reader *r, uint32_t w) {
  const uint32_t low = w & 7, mid = w >> 3 & 7, high = w >> 8 & 7;
  if (w >> 12 == 0xc) { /* LDM, STM */
    const uint32_t list = w & 255, load = w >> 11 & 1;
    expect(r, high, 0, 3, !load, length_of(list));
    if (!load || !(list >> high & 1))
      move(r, high, high, length_of(list));
    if (load)
      forget_list(r, list);
  } else if (w >> 9 == 0x5a) { /* PUSH */
    move(r, 13, 13, -length_of(w & 0x1ff));
  } else if (w >> 9 == 0x5e) { /* POP */
    forget_list(r, w & 255);
    move(r, 13, 13, length_of(w & 0x1ff));
  } else if (w >> 8 == 0xb0) { /* ADD, SUB SP */
    move(r, 13, 13, w & 0x80 ? -(int32_t)((w & 127) * 4) : (int32_t)((w & 127) * 4));
  } else if (w >> 11 == 0x15) { /* ADD Rd, SP */
    move(r, high, 13, (int32_t)((w & 255) * 4));
  } else if (w >> 10 == 0x07) { /* ADD, SUB of three bits */
    move(r, low, mid, w >> 9 & 1 ? -(int32_t)(w >> 6 & 7) : (int32_t)(w >> 6 & 7));
  } else if (w >> 12 == 0x3) { /* ADD, SUB of eight bits */
    move(r, high, high, w >> 11 & 1 ? -(int32_t)(w & 255) : (int32_t)(w & 255));
  } else if (w >> 8 == 0x46) { /* MOV */
    move(r, low | (w >> 4 & 8), w >> 3 & 15, 0);
  } else if (w >> 12 == 0x6 || w >> 12 == 0x8) { /* LDR, STR and half words with an offset */
    const uint32_t word = w >> 12 == 0x6;
    if (r->every)
      expect(r, mid, (int32_t)((w >> 6 & 31) * (word ? 4 : 2)), word ? 3 : 1, !(w >> 11 & 1),
             word ? 4 : 2);
    if (w >> 11 & 1)
      forget(r, low);
  } else if (w >> 12 == 0x9) { /* LDR, STR on the stack */
    if (w >> 11 & 1)
      forget(r, high);
  } else if (w >> 8 == 0x44) { /* ADD of high registers */
    forget(r, low | (w >> 4 & 8));
  } else {
    forget(r, low);
    forget(r, high);
  }
}

static void read_long(struct reader *r, uint32_t a, uint32_t b) {
  const uint32_t n = a & 15, load = a >> 4 & 1, up = a >> 7 & 1, write_back = a >> 5 & 1;
  if (a >> 9 == 0x74 && !(a >> 6 & 1)) { /* LDM, STM */
    const int32_t bytes = length_of(b);
    const int down = (a >> 7 & 3) == 2;
    expect(r, n, down ? -bytes : 0, 3, !load, bytes);
    if (load)
      forget_list(r, b);
    if (write_back && !(load && b >> n & 1))
      move(r, n, n, down ? -bytes : bytes);
  } else if (a >> 9 == 0x74 && (a >> 8 & 1 || write_back)) { /* LDRD, STRD */
    const int32_t by = (int32_t)((b & 255) * 4) * (up ? 1 : -1);
    expect(r, n, a >> 8 & 1 ? by : 0, 3, !load, 8);
    if (load) {
      forget(r, b >> 12);
      forget(r, b >> 8);
    }
    if (write_back)
      move(r, n, n, by);
  } else if (a >> 9 == 0x76 && (b >> 9 & 7) == 5 && (a >> 5 & 15) != 2) { /* VLDR, VLDM */
    const int32_t bytes = (int32_t)((b & 255) * 4);
    r->block->floating = 1;
    if ((a >> 8 & 1) && !write_back) {
      expect(r, n, up ? bytes : -bytes, 3, !load, b >> 8 & 1 ? 8 : 4);
    } else {
      expect(r, n, up ? 0 : -bytes, 3, !load, bytes);
      if (write_back)
        move(r, n, n, up ? bytes : -bytes);
    }
  } else if ((a >> 8 & 0xef) == 0xee || (a >> 9 & 0x7f) == 0x76) { /* coprocessors: FPU */
    if ((b >> 9 & 7) == 5)
      r->block->floating = 1;
    forget(r, b >> 12);
    forget(r, n);
  } else if (a >> 9 == 0x7c) { /* LDR, STR of one item */
    const uint32_t size = a >> 5 & 3, wide = a >> 7 & 1;
    const int32_t by = wide ? (int32_t)(b & 0xfff) : (int32_t)(b & 255) * (b >> 9 & 1 ? 1 : -1);
    const int indexed = !wide && (b >> 11 & 1);
    if (r->every && size && n != 15 && (wide || indexed))
      expect(r, n, wide || b >> 10 & 1 ? by : 0, size == 2 ? 3 : 1, !load, size == 2 ? 4 : 2);
    if (load)
      forget(r, b >> 12);
    if (indexed && (b >> 8 & 1) && n != 15)
      move(r, n, n, by);
  } else if ((a & 0xfbf0) == 0xf200 || (a & 0xfbf0) == 0xf2a0) { /* ADDW, SUBW */
    const int32_t by = (int32_t)((a >> 10 & 1) << 11 | (b >> 12 & 7) << 8 | (b & 255));
    move(r, b >> 8 & 15, n, a & 0xa0 ? -by : by);
  } else if (((a & 0xfbe0) == 0xf100 || (a & 0xfbe0) == 0xf1a0) && !(a >> 10 & 1) &&
             !(b >> 12 & 7)) { /* ADD, SUB of a small constant */
    move(r, b >> 8 & 15, n, a & 0xa0 ? -(int32_t)(b & 255) : (int32_t)(b & 255));
  } else {
    forget(r, b >> 8);
    forget(r, b >> 12);
    if (a >> 9 != 0x75) /* anything but data processing may write its base back */
      forget(r, n);
  }
}

static void learn(struct chip *c, void *uc, struct block *b) {
  struct reader r = {.block = b, .every = c->aligned, .pc = b->address};
  uint8_t code[4096];
  const uint32_t size = b->size < sizeof code ? b->size : sizeof code;
  uint32_t it = 0;
  for (uint32_t i = 0; i < 16; i++)
    r.origin[i] = (struct origin){(uint8_t)i, 0};
  if (c->mem_read(uc, b->address, code, size))
    return;
  for (uint32_t at = 0; at + 2 <= size; b->count++) {
    const uint32_t w = code[at] | (uint32_t)code[at + 1] << 8;
    const uint32_t wide = w >> 11 >= 0x1d;
    r.pc = b->address + at;
    r.conditional = it > 0;
    if (!wide && w >> 8 == 0xbf && (w & 15)) { /* IT: as many instructions as its mask has places */
      it = w & 1 ? 5 : w & 2 ? 4 : w & 4 ? 3 : 2;
    } else if (!wide) {
      read_short(&r, w);
    } else if (at + 4 <= size) {
      read_long(&r, w, code[at + 2] | (uint32_t)code[at + 3] << 8);
    }
    if (it)
      it--;
    at += wide ? 4 : 2;
  }
}

/* ---- Blocks that were read ---- */

static struct block *slot(struct chip *c, uint32_t address, uint32_t size) {
  uint32_t i = ((address >> 1) * 2654435761u ^ size) & (c->capacity - 1);
  while (c->table[i].size && (c->table[i].address != address || c->table[i].size != size))
    i = (i + 1) & (c->capacity - 1);
  return &c->table[i];
}

static void grow(struct chip *c) {
  struct block *old = c->table;
  const uint32_t before = c->capacity;
  c->capacity = before ? before * 2 : 4096;
  c->table = calloc(c->capacity, sizeof *c->table);
  if (!c->table)
    abort();
  for (uint32_t i = 0; i < before; i++)
    if (old[i].size)
      *slot(c, old[i].address, old[i].size) = old[i];
  free(old);
}

static struct block *find(struct chip *c, void *uc, uint32_t address, uint32_t size) {
  struct block *b;
  if (c->used * 2 >= c->capacity)
    grow(c);
  b = slot(c, address, size);
  if (!b->size) {
    b->address = address;
    b->size = size;
    c->used++;
    learn(c, uc, b);
  }
  return b;
}

/* What was read is no longer so: other rules, or other code. */
void forget_blocks(struct chip *c) {
  free(c->table);
  c->table = NULL;
  c->capacity = c->used = 0;
}

/* ---- At the start of every block ---- */

static int32_t masked_below(const struct chip *c, void *uc) {
  int32_t level = c->active;
  const int32_t base = (int32_t)get(c, uc, c->basepri);
  if (base && base < level)
    level = base;
  if ((get(c, uc, c->primask) & 1) && level > 0)
    level = 0;
  if ((get(c, uc, c->faultmask) & 1) && level > -1)
    level = -1;
  return level;
}

static int found(struct chip *c, void *uc, uint32_t fault, uint32_t pc, uint32_t address) {
  c->fault = fault;
  c->fault_pc = pc;
  c->fault_address = address;
  c->fault_sp = get(c, uc, c->registers[13]);
  c->fault_lr = get(c, uc, c->registers[14]);
  return 1;
}

static int faulty(struct chip *c, void *uc, const struct block *b) {
  for (uint32_t i = 0; i < c->ranges; i++)
    if (c->no_execute[i].first <= b->address && b->address <= c->no_execute[i].last)
      return found(c, uc, NO_EXECUTE, b->address, b->address);
  if (b->floating && c->fpu_off)
    return found(c, uc, NO_FPU, b->address, b->address);
  for (uint32_t i = 0; i < b->checks; i++) {
    const struct check *k = &b->check[i];
    const uint32_t address = get(c, uc, c->registers[k->reg]) + (uint32_t)k->offset;
    if (address & k->mask) {
      c->fault_bytes = k->bytes;
      c->fault_store = k->store;
      return found(c, uc, UNALIGNED, k->pc, address);
    }
  }
  return 0;
}

void on_block(void *uc, uint64_t address, uint32_t size, void *user) {
  struct chip *c = user;
  const struct block *b = find(c, uc, (uint32_t)address, size);
  if (c->want_stop || c->instructions >= c->stop_at ||
      (c->pending < c->active && c->pending < masked_below(c, uc))) {
    if ((get(c, uc, c->epsr) & 0x0600fc00) == 0) {
      c->emu_stop(uc); /* before the block: it is counted when it runs */
      return;
    }
  }
  if (faulty(c, uc, b)) {
    c->want_stop = 1;
    c->emu_stop(uc);
    return;
  }
  c->instructions += b->count;
}

/* An access to what the MPU forbids: Unicorn calls this for that range only. The block goes on to
 * its end, so what the sentence needs of the registers is kept now. */
void on_memory(void *uc, int type, uint64_t address, int size, int64_t value, void *user) {
  struct chip *c = user;
  const uint32_t state = 0x01000000; /* Thumb, outside of an IT block */
  (void)value;
  c->reg_write(uc, c->epsr, &state);
  if (c->fault)
    return;
  c->fault_bytes = (uint32_t)size;
  c->fault_store = type == 17; /* UC_MEM_WRITE */
  found(c, uc, DENIED, get(c, uc, c->registers[15]), (uint32_t)address);
  c->want_stop = 1;
}
