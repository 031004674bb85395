/* SPDX-License-Identifier: Apache-2.0 */
/* One layer on QEMU's mps2-* boards or in Unicorn: runs bench_run() of the generated layer.c once
 * to check its output and once between two readings of the timer, then reports by semihosting:
 * differing bytes, timer ticks of the run, timer ticks of an empty bracket. */
#include <stddef.h>
#include <stdint.h>

#include "layer.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TIMER                                                                                      \
  0x40000000u /* CMSDK timer 0, 25 MHz: with -icount shift=8, 6.4 ticks an instruction */

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

static char *decimal(char *to, uint32_t value) {
  char digits[10];
  int n = 0;
  do
    digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n)
    *to++ = digits[--n];
  *to++ = ' ';
  return to;
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

static void nothing(void) {}

static __attribute__((noinline)) uint32_t measure(void (*run)(void)) {
  const uint32_t start = REGISTER(TIMER + 4);
  run();
  return start - REGISTER(TIMER + 4);
}

static void reset(void) {
#ifdef __ARM_FP
  REGISTER(0xE000ED88) |= 0xFu << 20; /* CPACR: the FPU, which a compiler may use */
  __asm volatile("dsb\n isb");
#endif
  REGISTER(TIMER + 8) = 0xFFFFFFFF;
  REGISTER(TIMER + 4) = 0xFFFFFFFF;
  REGISTER(TIMER + 0) = 1;
  bench_run();
  finished();
  uint32_t wrong = 0;
  for (size_t i = 0; i < BENCH_OUTPUT; i++)
    wrong += bench_output[i] != bench_expected[i];
  measure(nothing);
  const uint32_t empty = measure(nothing);
  const uint32_t took = measure(bench_run);
  char text[40], *to = decimal(decimal(decimal(text, wrong), took), empty);
  to[-1] = 0;
  semihosting(0x04 /* SYS_WRITE0 */, text);
  leave(0);
}

#define STACK_TOP 0x20010000u

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
