/* SPDX-License-Identifier: Apache-2.0 */
/* The few DSP instructions that C code here needs. Inline assembly rather than arm_acle.h, because
 * GCC 12 has no rotation to fold into SXTB16. */
#ifndef TINYGEN_ARMV7EM_DSP_H
#define TINYGEN_ARMV7EM_DSP_H

#include "tinygen/types.h"

/* Bytes 0 and 2, sign-extended into the two halves. */
static inline uint32_t tg_sxtb16(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
  return y;
}

/* Bytes 1 and 3. */
static inline uint32_t tg_sxtb16_odd(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}

/* acc + low a * low b + high a * high b, halves signed. */
static inline int32_t tg_smlad(uint32_t a, uint32_t b, int32_t acc) {
  int32_t y;
  __asm__("smlad %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

/* low half of a below low half of b. */
static inline uint32_t tg_pack16(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(y) : "r"(a), "r"(b));
  return y;
}

/* Any alignment. */
static inline uint32_t tg_load32(const void *from) {
  uint32_t x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

#endif
