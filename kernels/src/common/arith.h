/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar arithmetic that every kernel shares; the Python twin is tinygen.numeric.requant.
 *
 * `>>` of a negative number is implementation-defined in C11. Every compiler this library supports
 * (GCC, Clang, and what descends from them) shifts arithmetically, and the assertion below refuses
 * any other. Left shifts of negative numbers are undefined and never used.
 */
#ifndef TINYGEN_COMMON_ARITH_H
#define TINYGEN_COMMON_ARITH_H

#include "tinygen/types.h"

_Static_assert((-3 >> 1) == -2, "right shifts of negative numbers must be arithmetic");

/* Of bodies that several functions are made from, each with other constants. */
#define TG_INLINE static inline __attribute__((always_inline))

static inline int32_t tg_round_up(int32_t x, int32_t multiple) {
  return (x + multiple - 1) / multiple * multiple;
}

/* One instruction where there is one, and time that does not depend on x. */
static inline int8_t tg_clamp8(int32_t x) {
#if defined(__ARM_FEATURE_SAT) && __ARM_FEATURE_SAT
  int32_t y;
  __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
  return (int8_t)y;
#else
  return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
#endif
}

/* The nearest int32, without a branch. */
static inline int32_t tg_narrow(int64_t x) {
  const int32_t low = (int32_t)(uint32_t)(uint64_t)x, high = (int32_t)(x >> 32);
  const int32_t differ = high ^ (low >> 31);
  const int32_t over = (int32_t)((uint32_t)differ | (0u - (uint32_t)differ)) >> 31; /* 0 or -1 */
  return (low & ~over) | (((high >> 31) ^ INT32_MAX) & over);
}

/* clamp8(zp + (acc * m + 2^(s-1) >> s)), the product exact; 0 <= m, 1 <= s <= 62. */
static inline int8_t tg_requant(int32_t acc, int32_t m, int32_t s, int32_t zp) {
  return tg_clamp8(tg_narrow((((int64_t)acc * m + ((int64_t)1 << (s - 1))) >> s) + zp));
}

/* 2^32 / (a row's sum of weights, its first bit moved to the top and cut to 17), of 16 bits. */
static inline uint32_t tg_reciprocal(uint32_t total, int32_t zeros) {
  return UINT32_MAX / ((total << zeros) >> 15);
}

/* Multiplier of a context row whose weights sum to `total` >= 1; see attention.h. */
static inline int32_t tg_row_reciprocal(uint32_t total, int32_t mult, int32_t frac, int32_t s) {
  int32_t z = __builtin_clz(total);
  uint32_t q = tg_reciprocal(total, z);
  int32_t shift = 47 - z + frac - s;
  /* q mult < 2^31; a shift of 32 or more gives 0, without a branch */
  return (int32_t)(q * (uint32_t)mult >> (shift & 31) & (0u - ((uint32_t)(shift - 32) >> 31)));
}

/* Weights rounded down to 1 / levels of a row's sum: e becomes (e factor >> shift) << up. */
typedef struct {
  uint32_t factor; /* below 2^16; weights are below 2^15 */
  int32_t shift, up;
} tg_levels_t;

static inline tg_levels_t tg_levels(uint32_t total, int32_t levels, int32_t up) {
  const int32_t z = __builtin_clz(total);
  return (tg_levels_t){(tg_reciprocal(total, z) * (uint32_t)levels >> 8) + 1, 39 - z, up};
}

static inline uint32_t tg_round_down(uint32_t e, tg_levels_t to) {
  return e * to.factor >> to.shift << to.up;
}

/* One context element: clamp8((acc * r + 2^32 offset) >> s), 33 <= s <= 40; see attention.h. */
static inline int8_t tg_normalise(int32_t acc, int32_t r, int32_t offset, int32_t s) {
  const int32_t high = (int32_t)((int64_t)acc * r >> 32); /* |high| < 2^30 */
  return tg_clamp8((high + offset) >> (s - 32));
}

/* floor(log2(x)) + 1 of x >= 1. */
static inline int32_t tg_bit_length64(uint64_t x) {
  uint32_t high = (uint32_t)(x >> 32);
  return high ? 64 - __builtin_clz(high) : 32 - __builtin_clz((uint32_t)x);
}

/* min(65535, isqrt(2^62 / d)) for 2^30 <= d < 2^32, without a division: the largest r with
 * r^2 d <= 2^62. Always 15 steps, because d < 2^32 makes r >= 2^15. */
static inline uint32_t tg_inverse_sqrt(uint32_t d) {
  uint32_t r = UINT32_C(1) << 15;
  for (uint32_t bit = UINT32_C(1) << 14; bit; bit >>= 1) {
    uint32_t next = r | bit;
    if ((uint64_t)(next * next) * d <= UINT64_C(1) << 62)
      r = next;
  }
  return r;
}

#endif
