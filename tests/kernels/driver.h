/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_TESTS_DRIVER_H
#define TINYGEN_TESTS_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef TG_HOST
#include <stdlib.h>
static inline uint32_t ticks(void) {
  return 0;
}
#else
/* CMSDK timer 0 counts down at 25 MHz; with QEMU's -icount shift=8, 6.4 ticks an instruction. */
static inline uint32_t ticks(void) {
  return ~*(volatile uint32_t *)0x40000004;
}
#endif

/* Returns the bytes written to out. arena: memory for buffers (unused on the host). */
size_t run_cases(const int32_t *in, int32_t *out, uint8_t *arena);

#endif
