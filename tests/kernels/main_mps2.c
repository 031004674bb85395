/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's mps2-* boards and Unicorn: no libc, no initialised data, so start-up has nothing to copy.
 *
 * The loader puts the cases at IN before reset; the answers stand at OUT, their size in front, and
 * under QEMU also in the file out.bin (semihosting).
 */
#include "driver.h"

#define STACK_TOP 0x20040000u
#define ARENA ((uint8_t *)0x20040000u)
#define IN ((const int32_t *)0x20180000u)
#define OUT ((int32_t *)0x20300000u)

/* Compilers may call these even in freestanding code. */
void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  for (size_t i = 0; i < size; i++)
    ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
  return to;
}

void *memset(void *to, int value, size_t size) {
  for (size_t i = 0; i < size; i++)
    ((volatile uint8_t *)to)[i] = (uint8_t)value;
  return to;
}

static int semihosting(int operation, const void *argument) {
  register int r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static _Noreturn void leave(uint32_t code) {
  const uint32_t exited[2] = {0x20026 /* ADP_Stopped_ApplicationExit */, code};
  semihosting(0x20, exited);
  for (;;)
    ;
}

static void fault(void) {
  leave(100);
}

void finished(void);
__attribute__((noinline)) void finished(void) { /* where Unicorn stops */
  __asm volatile("");
}

static void reset(void) {
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the FPU, which a compiler may use */
  __asm volatile("dsb\n isb");
#endif
#ifdef TG_TRAP_UNALIGNED
  *(volatile uint32_t *)0xE000ED14 |= 1u << 3; /* CCR.UNALIGN_TRP */
#endif
  *(volatile uint32_t *)0x40000008 = 0xFFFFFFFF;
  *(volatile uint32_t *)0x40000004 = 0xFFFFFFFF;
  *(volatile uint32_t *)0x40000000 = 1;
  const size_t size = run_cases(IN, OUT + 1, ARENA);
  OUT[0] = (int32_t)size;
  finished();
  static const char name[] = "out.bin";
  const uint32_t open[3] = {(uint32_t)name, 5 /* wb */, sizeof name - 1};
  const int handle = semihosting(0x01, open);
  const uint32_t write[3] = {(uint32_t)handle, (uint32_t)(OUT + 1), size};
  const int left = semihosting(0x05, write);
  leave(handle < 0 ? 101 : left ? 102 : 0);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))STACK_TOP,
    reset,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
};
