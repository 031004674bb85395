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

/* high half of a below high half of b. */
static inline uint32_t tg_pack16_high(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(y) : "r"(b), "r"(a));
  return y;
}

/* Half by half; for those who need no flags. */
static inline uint32_t tg_ssub16(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("ssub16 %0, %1, %2" : "=r"(y) : "r"(a), "r"(b) : "cc");
  return y;
}

/* acc + a * low half of b, or its high half. */
static inline int32_t tg_smlabb(int32_t a, uint32_t b, int32_t acc) {
  int32_t y;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

static inline int32_t tg_smlabt(int32_t a, uint32_t b, int32_t acc) {
  int32_t y;
  __asm__("smlabt %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

/* acc + (a * half of b >> 16) */
static inline int32_t tg_smlawb(int32_t a, uint32_t b, int32_t acc) {
  int32_t y;
  __asm__("smlawb %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

static inline int32_t tg_smlawt(int32_t a, uint32_t b, int32_t acc) {
  int32_t y;
  __asm__("smlawt %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

/* acc + a * b; compilers split it where acc is a negated value. */
static inline int32_t tg_mla(int32_t a, int32_t b, int32_t acc) {
  int32_t y;
  __asm__("mla %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(acc));
  return y;
}

/* (a * b + 2^31) >> 32 */
static inline int32_t tg_smmulr(int32_t a, int32_t b) {
  int32_t y;
  __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(a), "r"(b));
  return y;
}

static inline int32_t tg_ssat8(int32_t x) {
  int32_t y;
  __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
  return y;
}

/* x << 8 & mask in one instruction: compilers prefer a constant mask and shift apart. */
static inline uint32_t tg_mask_up8(uint32_t x, uint32_t mask) {
  uint32_t y;
  __asm__("and %0, %1, %2, lsl #8" : "=r"(y) : "r"(mask), "r"(x));
  return y;
}

/* 32 of 0. */
static inline int32_t tg_clz(uint32_t x) {
  int32_t y;
  __asm__("clz %0, %1" : "=r"(y) : "r"(x));
  return y;
}

/* The larger of two bytes, as bytes of words. */
static inline uint32_t tg_max8(uint32_t a, uint32_t b) {
  uint32_t y;
  __asm__("usub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(y) : "r"(a), "r"(b));
  return y;
}

/* Any alignment. */
static inline uint32_t tg_load32(const void *from) {
  uint32_t x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

#endif
