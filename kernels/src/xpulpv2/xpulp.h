/* SPDX-License-Identifier: Apache-2.0 */
/* The Xpulpv2 instructions that the kernels use, with three bodies:
 *
 *   __pulp__ defined         the SDK compiler's builtins
 *   TG_XPULP_INSN defined    `.insn`, for RISC-V compilers that know nothing of Xpulpv2
 *   else                     portable C with the same results
 *
 * A word holds four bytes, the first in the lowest bits. tests/kernels/test_xpulp_encodings.py
 * compares every `.insn` with the word a PULP assembler makes.
 */
#ifndef TINYGEN_XPULPV2_XPULP_H
#define TINYGEN_XPULPV2_XPULP_H

#include "common/arith.h"

/* A word of memory that also holds bytes. */
typedef int32_t __attribute__((may_alias)) tg_word_t;
typedef int16_t __attribute__((may_alias)) tg_half_t;

enum { TG_ONES = 0x01010101 };

#if defined(TG_XPULP_INSN)

#define TG_R3(name, text)                                                                          \
  static inline int32_t name(int32_t a, int32_t b) {                                               \
    int32_t d;                                                                                     \
    __asm__(".insn r " text ", %0, %1, %2" : "=r"(d) : "r"(a), "r"(b));                            \
    return d;                                                                                      \
  }
#define TG_R4(name, text)                                                                          \
  static inline int32_t name(int32_t d, int32_t a, int32_t b) {                                    \
    __asm__(".insn r " text ", %0, %1, %2" : "+r"(d) : "r"(a), "r"(b));                            \
    return d;                                                                                      \
  }
TG_R4(tg_sdotsp4, "0x57, 1, 0x5c")
TG_R4(tg_sdotup4, "0x57, 1, 0x50")
TG_R4(tg_sdotusp4, "0x57, 1, 0x54")
TG_R3(tg_max4, "0x57, 1, 0x18")
TG_R4(tg_add_shift, "0x5b, 2, 0x20")

static inline int32_t tg_clip8(int32_t x) {
  int32_t d;
  __asm__(".insn r 0x33, 1, 0x0a, %0, %1, x8" : "=r"(d) : "r"(x));
  return d;
}

static inline int32_t tg_pack4(int32_t a, int32_t b, int32_t c, int32_t d) {
  int32_t word;
  __asm__(".insn r 0x57, 1, 0x6c, %0, %4, %3\n\t.insn r 0x57, 1, 0x70, %0, %2, %1"
          : "=&r"(word)
          : "r"(a), "r"(b), "r"(c), "r"(d));
  return word;
}

#elif defined(__pulp__)

typedef int8_t tg_v4s __attribute__((vector_size(4)));
typedef uint8_t tg_v4u __attribute__((vector_size(4)));

static inline int32_t tg_sdotsp4(int32_t d, int32_t a, int32_t b) {
  return __builtin_pulp_sdotsp4((tg_v4s)a, (tg_v4s)b, d);
}

static inline int32_t tg_sdotup4(int32_t d, int32_t a, int32_t b) {
  return (int32_t)__builtin_pulp_sdotup4((tg_v4u)a, (tg_v4u)b, d);
}

static inline int32_t tg_sdotusp4(int32_t d, int32_t a, int32_t b) {
  return __builtin_pulp_sdotusp4((tg_v4u)a, (tg_v4s)b, d);
}

static inline int32_t tg_max4(int32_t a, int32_t b) {
  return (int32_t)__builtin_pulp_max4((tg_v4s)a, (tg_v4s)b);
}

static inline int32_t tg_clip8(int32_t x) {
  return __builtin_pulp_clip(x, -128, 127);
}

static inline int32_t tg_pack4(int32_t a, int32_t b, int32_t c, int32_t d) {
  int32_t word; /* the builtin clears it first */
  __asm__("pv.packhi.b %0, %4, %3\n\tpv.packlo.b %0, %2, %1"
          : "=&r"(word)
          : "r"(a), "r"(b), "r"(c), "r"(d));
  return word;
}

/* The SDK's compiler makes p.addN of this. */
static inline int32_t tg_add_shift(int32_t d, int32_t a, int32_t shift) {
#ifdef __xpulp_clang__
  __asm__(".insn r 0x5b, 2, 0x20, %0, %1, %2" : "+r"(d) : "r"(a), "r"(shift));
  return d;
#else
  return (d + a) >> shift;
#endif
}

#else

static inline int32_t tg_byte_s(int32_t x, int i) {
  return (int8_t)((uint32_t)x >> (8 * i));
}

static inline int32_t tg_byte_u(int32_t x, int i) {
  return (uint8_t)((uint32_t)x >> (8 * i));
}

/* d + the dot product of the bytes of a and b; wraps like the instruction. */
static inline int32_t tg_sdotsp4(int32_t d, int32_t a, int32_t b) {
  for (int i = 0; i < 4; i++)
    d = (int32_t)((uint32_t)d + (uint32_t)(tg_byte_s(a, i) * tg_byte_s(b, i)));
  return d;
}

/* Both unsigned. */
static inline int32_t tg_sdotup4(int32_t d, int32_t a, int32_t b) {
  for (int i = 0; i < 4; i++)
    d = (int32_t)((uint32_t)d + (uint32_t)(tg_byte_u(a, i) * tg_byte_u(b, i)));
  return d;
}

/* a unsigned, b signed. */
static inline int32_t tg_sdotusp4(int32_t d, int32_t a, int32_t b) {
  for (int i = 0; i < 4; i++)
    d = (int32_t)((uint32_t)d + (uint32_t)(tg_byte_u(a, i) * tg_byte_s(b, i)));
  return d;
}

static inline int32_t tg_pack4(int32_t a, int32_t b, int32_t c, int32_t d) {
  return (int32_t)((uint32_t)(uint8_t)a | (uint32_t)(uint8_t)b << 8 | (uint32_t)(uint8_t)c << 16 |
                   (uint32_t)(uint8_t)d << 24);
}

static inline int32_t tg_larger(int32_t a, int32_t b) {
  return a > b ? a : b;
}

static inline int32_t tg_max4(int32_t a, int32_t b) {
  return tg_pack4(
      tg_larger(tg_byte_s(a, 0), tg_byte_s(b, 0)), tg_larger(tg_byte_s(a, 1), tg_byte_s(b, 1)),
      tg_larger(tg_byte_s(a, 2), tg_byte_s(b, 2)), tg_larger(tg_byte_s(a, 3), tg_byte_s(b, 3)));
}

static inline int32_t tg_clip8(int32_t x) {
  return tg_clamp8(x);
}

/* (d + a) >> shift. */
static inline int32_t tg_add_shift(int32_t d, int32_t a, int32_t shift) {
  return (int32_t)((uint32_t)d + (uint32_t)a) >> shift;
}

#endif

/* The dot product of two pairs of halfwords. */
static inline int32_t tg_dotsp2(int32_t a, int32_t b) {
  return (int16_t)a * (int16_t)b + (a >> 16) * (b >> 16);
}

/* Loads stay on their side: without it compilers hoist them until registers run out. */
#ifdef __riscv
#define TG_FENCE() __asm__ volatile("" ::: "memory")
#else
#define TG_FENCE() ((void)0)
#endif

/* x within [-limit - 1, limit]. */
static inline int32_t tg_clip(int32_t x, int32_t limit) {
  return x > limit ? limit : x < -limit - 1 ? -limit - 1 : x;
}

/* The high half of a 64-bit product. */
static inline int32_t tg_mulh(int32_t a, int32_t b) {
#ifdef __riscv
  int32_t d; /* compilers change it to mulhsu where b is positive */
  __asm__("mulh %0, %1, %2" : "=r"(d) : "r"(a), "r"(b));
  return d;
#else
  return (int32_t)((int64_t)a * b >> 32);
#endif
}

#endif
