/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels with 8-bit operands share: the tile, and the product of the projections.
 *
 * The tile: 4 rows (or 1) by 2 columns.
 *
 * Columns (weights, keys or values) are int8, two interleaved: of each four k, a word holds
 * {c0[0], c1[0], c0[2], c1[2]} and the next {c0[1], c1[1], c0[3], c1[3]}, so that SXTB16 gives a
 * pair of column 0 and SXTB16 ROR #8 the same pair of column 1. Rows are expanded once to 16 bits,
 * as pairs (k0, k2), (k1, k3), interleaved: [pair][row]. k is padded to a multiple of 4, where the
 * rows hold zeros; columns to a multiple of 2, whose results are dropped.
 *
 * The loop in C (lo and hi are half words; common/rowmajor.h is the whole without SIMD):
 *
 *   for (i < words) for (r < rows)
 *     sum[r][0] += lo(x[i][r]) * byte0(w[i]) + hi(x[i][r]) * byte2(w[i]),
 *     sum[r][1] += lo(x[i][r]) * byte1(w[i]) + hi(x[i][r]) * byte3(w[i]);
 *
 * Registers are the compiler's: 8 sums, 2 pointers, 4 operands and the end fill them. With 4 rows a
 * step (a word of w) of 16 MAC is 1 load and 2 expansions of columns, 4 loads (or 2 LDRD) of rows
 * and 8 SMLAD: 15; with 1 row 4 MAC are 2 loads, 2 expansions and 2 SMLAD: 6. Two steps go round
 * together. One row serves 1 or 2 left-over rows; 3 run as 4, the last twice.
 */
#ifndef TINYGEN_ARMV7EM_COMPACT_H
#define TINYGEN_ARMV7EM_COMPACT_H

#include "armv7em/dsp.h"
#include "common/arith.h"
#include "tinygen/linear.h"

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

TG_INLINE int32_t tg_tile_rows(int32_t rows) {
  return rows >= 3 ? 4 : 1;
}

/* Rows that the next tile takes of `left`. */
TG_INLINE int32_t tg_take(int32_t left) {
  return left >= 4 ? 4 : left == 3 ? 3 : 1;
}

/* Expand one row of k values, less `zero`, into every stride-th word of `to`; returns their sum. */
TG_INLINE int32_t tg_expand(const int8_t *x, int32_t k, int32_t zero, int32_t stride,
                            uint32_t *to) {
  const uint32_t zeros = (uint32_t)(zero & 0xFFFF) * 0x10001u;
  int32_t sum = 0;
  for (int32_t p = 0; p < k; p += 4) {
    uint32_t word;
    if (k - p >= 4) {
      word = tg_load32(x + p);
    } else { /* pad with what becomes 0 */
      word = (uint32_t)(zero & 0xFF) * 0x01010101u;
      for (int32_t i = k - p - 1; i >= 0; i--)
        word = (word << 8) | (uint8_t)x[p + i];
    }
    const uint32_t even = tg_ssub16(tg_sxtb16(word), zeros);
    const uint32_t odd = tg_ssub16(tg_sxtb16_odd(word), zeros);
    to[0] = even;
    to[stride] = odd;
    to += 2 * stride;
    sum = tg_smlad(even, 0x10001u, tg_smlad(odd, 0x10001u, sum));
  }
  return sum;
}

/* aRC: row R, column C */
typedef struct {
  int32_t a00, a01, a10, a11, a20, a21, a30, a31;
} tg_acc4_t;

typedef struct {
  int32_t a0, a1;
} tg_acc1_t;

/* words: columns' words, k / 2 of them, k a positive multiple of 4 */
TG_INLINE tg_acc4_t tg_tile4(const uint32_t *x, const uint32_t *w, int32_t words, tg_acc4_t a) {
#define STEP(i)                                                                                    \
  do {                                                                                             \
    const uint32_t packed = w[i];                                                                  \
    const uint32_t w0 = tg_sxtb16(packed), w1 = tg_sxtb16_odd(packed);                             \
    const uint32_t x0 = x[4 * (i)], x1 = x[4 * (i) + 1];                                           \
    a.a00 = tg_smlad(x0, w0, a.a00);                                                               \
    a.a01 = tg_smlad(x0, w1, a.a01);                                                               \
    a.a10 = tg_smlad(x1, w0, a.a10);                                                               \
    a.a11 = tg_smlad(x1, w1, a.a11);                                                               \
    const uint32_t x2 = x[4 * (i) + 2], x3 = x[4 * (i) + 3];                                       \
    a.a20 = tg_smlad(x2, w0, a.a20);                                                               \
    a.a21 = tg_smlad(x2, w1, a.a21);                                                               \
    a.a30 = tg_smlad(x3, w0, a.a30);                                                               \
    a.a31 = tg_smlad(x3, w1, a.a31);                                                               \
  } while (0)
  const uint32_t *end = w + words;
  do {
    STEP(0);
    STEP(1);
    x += 8;
    w += 2;
  } while (w != end);
#undef STEP
  return a;
}

TG_INLINE tg_acc1_t tg_tile1(const uint32_t *x, const uint32_t *w, int32_t words, tg_acc1_t a) {
  const uint32_t *end = w + words;
  do {
    const uint32_t even = w[0], odd = w[1];
    a.a0 = tg_smlad(x[0], tg_sxtb16(even), a.a0);
    a.a1 = tg_smlad(x[0], tg_sxtb16_odd(even), a.a1);
    a.a0 = tg_smlad(x[1], tg_sxtb16(odd), a.a0);
    a.a1 = tg_smlad(x[1], tg_sxtb16_odd(odd), a.a1);
    x += 2;
    w += 2;
  } while (w != end);
  return a;
}

/* Requantisation is two instructions where the multiplier, shifted up to 32 bits of fraction, is
 * below 1/2 (a signed operand); the rest take the exact 64-bit way. */
TG_INLINE int tg_is_fast(int32_t m, int32_t s) {
  return (uint32_t)m >> (s - 1) == 0;
}

/* shifted = m << (32 - s) */
TG_INLINE int32_t tg_requant_fast(int32_t acc, int32_t shifted, int32_t zp) {
  return tg_ssat8(tg_smmlar(acc, shifted, zp));
}

TG_INLINE int32_t tg_shift_up(int32_t m, int32_t s) {
  return (int32_t)((uint32_t)m << (32 - s));
}

static inline int32_t tg_weight_words(int32_t n, int32_t k) {
  return tg_round_up(n, 2) / 2 * (tg_round_up(k, 4) / 2);
}

static inline size_t tg_product_scratch(int32_t k, int32_t rows) {
  return (size_t)(tg_tile_rows(rows) * tg_round_up(k, 4)) * sizeof(int16_t);
}

#endif
