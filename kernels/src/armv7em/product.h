/* SPDX-License-Identifier: Apache-2.0 */
/* x w^T with requantisation, written in any order that is a sum of a row's and a column's offset:
 * the linear operator and the three projections. */
#ifndef TINYGEN_ARMV7EM_PRODUCT_H
#define TINYGEN_ARMV7EM_PRODUCT_H

#include "armv7em/tile.h"
#include "tinygen/linear.h"

/* Pairs of columns start at 0, even, even + odd, 2 even + odd, ...; the second of a pair stands
 * `second` after the first. */
typedef struct {
  ptrdiff_t even, odd, second;
} tg_columns_t;

static inline int32_t tg_weight_words(int32_t n, int32_t k) {
  return tg_round_up(n, 2) / 2 * (tg_round_up(k, 4) / 2);
}

static inline size_t tg_product_scratch(int32_t k, int32_t rows) {
  return (size_t)(tg_tile_rows(rows) * tg_round_up(k, 4)) * sizeof(int16_t);
}

/* One tile of rows, expanded in xs, by channels [first, first + n). y: where each row's column 0
 * goes; a dropped row's result goes where its twin's goes. */
static void tg_product4(const tg_linear_t *op, const uint32_t *w, int32_t first, int32_t n,
                        const uint32_t *xs, int8_t *const y[4], const tg_columns_t *columns) {
  const int32_t words = tg_round_up(op->k, 4) / 2, s = op->s, zp = op->zp;
  const int8_t *table = op->table;
  int8_t *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
  ptrdiff_t step = columns->even, next = columns->odd;
  for (int32_t c = 0; c < n; c += 2, w += words) {
    /* A padded second column is written first and then overwritten by the first. */
    const int lone = n - c == 1;
    const int32_t i0 = first + c, i1 = lone ? i0 : i0 + 1;
    const ptrdiff_t second = lone ? 0 : columns->second;
    const int32_t b0 = op->bias[i0], b1 = op->bias[i1];
    tg_acc4_t a = tg_tile4(xs, w, words, (tg_acc4_t){b0, b1, b0, b1, b0, b1, b0, b1});
    int32_t m0 = op->m[i0], m1 = op->m[i1];
    if (tg_is_fast(m0 | m1, s)) {
      m0 = tg_shift_up(m0, s), m1 = tg_shift_up(m1, s);
      a.a00 = tg_requant_fast(a.a00, m0, zp), a.a01 = tg_requant_fast(a.a01, m1, zp);
      a.a10 = tg_requant_fast(a.a10, m0, zp), a.a11 = tg_requant_fast(a.a11, m1, zp);
      a.a20 = tg_requant_fast(a.a20, m0, zp), a.a21 = tg_requant_fast(a.a21, m1, zp);
      a.a30 = tg_requant_fast(a.a30, m0, zp), a.a31 = tg_requant_fast(a.a31, m1, zp);
    } else {
      a.a00 = tg_requant(a.a00, m0, s, zp), a.a01 = tg_requant(a.a01, m1, s, zp);
      a.a10 = tg_requant(a.a10, m0, s, zp), a.a11 = tg_requant(a.a11, m1, s, zp);
      a.a20 = tg_requant(a.a20, m0, s, zp), a.a21 = tg_requant(a.a21, m1, s, zp);
      a.a30 = tg_requant(a.a30, m0, s, zp), a.a31 = tg_requant(a.a31, m1, s, zp);
    }
    if (table) {
      a.a00 = table[a.a00 + 128], a.a01 = table[a.a01 + 128];
      a.a10 = table[a.a10 + 128], a.a11 = table[a.a11 + 128];
      a.a20 = table[a.a20 + 128], a.a21 = table[a.a21 + 128];
      a.a30 = table[a.a30 + 128], a.a31 = table[a.a31 + 128];
    }
    y0[second] = (int8_t)a.a01, y1[second] = (int8_t)a.a11;
    y2[second] = (int8_t)a.a21, y3[second] = (int8_t)a.a31;
    *y0 = (int8_t)a.a00, *y1 = (int8_t)a.a10, *y2 = (int8_t)a.a20, *y3 = (int8_t)a.a30;
    y0 += step, y1 += step, y2 += step, y3 += step;
    const ptrdiff_t swap = step;
    step = next;
    next = swap;
  }
}

static void tg_product1(const tg_linear_t *op, const uint32_t *w, int32_t first, int32_t n,
                        const uint32_t *xs, int8_t *y, const tg_columns_t *columns) {
  const int32_t words = tg_round_up(op->k, 4) / 2, s = op->s, zp = op->zp;
  ptrdiff_t step = columns->even, next = columns->odd;
  for (int32_t c = 0; c < n; c += 2, w += words) {
    const int lone = n - c == 1;
    const int32_t i0 = first + c, i1 = lone ? i0 : i0 + 1;
    tg_acc1_t a = tg_tile1(xs, w, words, (tg_acc1_t){op->bias[i0], op->bias[i1]});
    const int32_t m0 = op->m[i0], m1 = op->m[i1];
    if (tg_is_fast(m0 | m1, s)) {
      a.a0 = tg_requant_fast(a.a0, tg_shift_up(m0, s), zp);
      a.a1 = tg_requant_fast(a.a1, tg_shift_up(m1, s), zp);
    } else {
      a.a0 = tg_requant(a.a0, m0, s, zp);
      a.a1 = tg_requant(a.a1, m1, s, zp);
    }
    if (op->table)
      a.a0 = op->table[a.a0 + 128], a.a1 = op->table[a.a1 + 128];
    y[lone ? 0 : columns->second] = (int8_t)a.a1;
    *y = (int8_t)a.a0;
    y += step;
    const ptrdiff_t swap = step;
    step = next;
    next = swap;
  }
}

#endif
