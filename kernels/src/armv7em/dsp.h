/* SPDX-License-Identifier: Apache-2.0 */
/* The DSP instructions of ARMv7E-M (and of ARMv8-M cores that have the extension).
 *
 * Inline assembly rather than arm_acle.h: GCC 12 has no __ror there, and its __smlad keeps track of
 * the Q flag, which costs instructions in the inner loop.
 */
#ifndef TINYGEN_ARMV7EM_DSP_H
#define TINYGEN_ARMV7EM_DSP_H

#include "common/arith.h"

#if !defined(__ARM_FEATURE_DSP) || !__ARM_FEATURE_DSP
#error "these kernels need the DSP extension: build for cortex-m4, cortex-m7 or cortex-m33"
#endif

#define TG_INLINE static inline __attribute__((always_inline))

/* A word at any address; Cortex-M4 and M7 load it in hardware. */
typedef struct {
  uint32_t value;
} __attribute__((packed, may_alias)) tg_unaligned_t;

TG_INLINE uint32_t tg_load(const int8_t *from) {
  return ((const tg_unaligned_t *)(const void *)from)->value;
}

/* Bytes 0 and 2, sign-extended to two halves. */
TG_INLINE uint32_t tg_sxtb16(uint32_t x) {
  uint32_t y;
  __asm("sxtb16 %0, %1" : "=r"(y) : "r"(x));
  return y;
}

/* Bytes 1 and 3. */
TG_INLINE uint32_t tg_sxtb16_ror8(uint32_t x) {
  uint32_t y;
  __asm("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}

/* acc + low x * low y + high x * high y */
TG_INLINE int32_t tg_smlad(uint32_t x, uint32_t y, int32_t acc) {
  __asm("smlad %0, %1, %2, %0" : "+r"(acc) : "r"(x), "r"(y));
  return acc;
}

/* acc + (x * y >> 32), the sum rounded half up */
TG_INLINE int32_t tg_smmlar(int32_t x, int32_t y, int32_t acc) {
  int32_t z;
  __asm("smmlar %0, %1, %2, %3" : "=r"(z) : "r"(x), "r"(y), "r"(acc));
  return z;
}

TG_INLINE int32_t tg_smmla(int32_t x, int32_t y, int32_t acc) {
  int32_t z;
  __asm("smmla %0, %1, %2, %3" : "=r"(z) : "r"(x), "r"(y), "r"(acc));
  return z;
}

TG_INLINE int32_t tg_ssat8(int32_t x) {
  int32_t y;
  __asm("ssat %0, #8, %1" : "=r"(y) : "r"(x) : "cc");
  return y;
}

TG_INLINE uint32_t tg_ssub16(uint32_t x, uint32_t y) {
  uint32_t z;
  __asm("ssub16 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y) : "cc");
  return z;
}

TG_INLINE uint32_t tg_usub8(uint32_t x, uint32_t y) {
  uint32_t z;
  __asm("usub8 %0, %1, %2" : "=r"(z) : "r"(x), "r"(y) : "cc");
  return z;
}

/* Byte by byte; SEL picks by the GE flags of SSUB8, so the two must stay together. */
TG_INLINE uint32_t tg_max_s8x4(uint32_t x, uint32_t y) {
  uint32_t z;
  __asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(z) : "r"(x), "r"(y) : "cc");
  return z;
}

TG_INLINE uint32_t tg_pack(uint32_t low, uint32_t high) {
  uint32_t z;
  __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(z) : "r"(low), "r"(high));
  return z;
}

#endif
