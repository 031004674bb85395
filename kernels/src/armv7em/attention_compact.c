/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with q, k and v in 8 bits: half the memory of attention_project.c and
 * attention_attend.c, for the plans that need it.
 *
 * q is [H][S][P]. k and v are written as the columns that attend multiplies with (compact.h): k
 * with two tokens interleaved along P, v with two features interleaved along S. Padding is never
 * written: attend multiplies it with 0, or drops the result.
 *
 * q is centred when it is expanded (q - zq fits 16 bits), which leaves one term of zk a row and
 * none a key: (q - zq)(k - zk) = (q - zq) k - zk (q - zq). */
#include "armv7em/attend_compact.h"

/* Pairs of columns start at 0, even, even + odd, 2 even + odd, ...; the second of a pair stands
 * `second` after the first. */
typedef struct {
  ptrdiff_t even, odd, second;
} columns_t;

/* One tile of rows, expanded in xs, by channels [first, first + n). y: where each row's column 0
 * goes; a dropped row's result goes where its twin's goes. */
static void product4(const tg_linear_t *op, const uint32_t *w, int32_t first, int32_t n,
                     const uint32_t *xs, int8_t *const y[4], const columns_t *columns) {
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

static void product1(const tg_linear_t *op, const uint32_t *w, int32_t first, int32_t n,
                     const uint32_t *xs, int8_t *y, const columns_t *columns) {
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

typedef enum { ROWS, KEYS, VALUES } order_t;

size_t tg_attention_q_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tokens * (size_t)op->dim;
}

size_t tg_attention_k_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)(heads * tg_round_up(tokens, 2) * tg_round_up(op->dim, 4));
}

size_t tg_attention_v_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)(heads * tg_round_up(op->dim, 2) * tg_round_up(tokens, 4));
}

/* Where a token's feature 0 stands within its head. */
static ptrdiff_t token_offset(order_t order, int32_t dim, int32_t token) {
  switch (order) {
  case KEYS:
    return token / 2 * 2 * tg_round_up(dim, 4) + token % 2;
  case VALUES:
    return token / 4 * 8 + token % 2 * 4 + token / 2 % 2 * 2;
  case ROWS:
  default:
    return (ptrdiff_t)token * dim;
  }
}

static void project(const tg_attention_t *op, const tg_linear_t *linear, const int8_t *x,
                    int32_t tokens, int32_t x_stride, int32_t head, int32_t heads, order_t order,
                    int8_t *y, size_t head_bytes, void *scratch) {
  const int32_t dim = op->dim, head_words = tg_weight_words(dim, linear->k);
  const columns_t columns =
      order == KEYS     ? (columns_t){2, 6, 4}
      : order == VALUES ? (columns_t){2 * tg_round_up(tokens, 4), 2 * tg_round_up(tokens, 4), 1}
                        : (columns_t){2, 2, 1};
  uint32_t *xs = scratch;
  for (int32_t i = 0, taken; i < tokens; i += taken) {
    taken = tg_take(tokens - i);
    const int32_t tile = tg_tile_rows(taken);
    int8_t *to[4];
    for (int32_t r = 0; r < tile; r++) {
      const int32_t row = i + (r < taken ? r : taken - 1);
      tg_expand(x + (ptrdiff_t)row * x_stride, linear->k, 0, tile, xs + r);
      to[r] = y + token_offset(order, dim, row);
    }
    const uint32_t *w = (const uint32_t *)linear->w + (ptrdiff_t)head * head_words;
    for (int32_t h = head; h < head + heads; h++, w += head_words) {
      if (tile == 4)
        product4(linear, w, h * dim, dim, xs, to, &columns);
      else
        product1(linear, w, h * dim, dim, xs, to[0], &columns);
      for (int32_t r = 0; r < tile; r++)
        to[r] += head_bytes;
    }
  }
}

void tg_attention_project_q_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *q,
                                       void *scratch) {
  project(op, &op->q, x, tokens, x_stride, head, heads, ROWS, q,
          tg_attention_q_compact_bytes(op, 1, tokens), scratch);
}

void tg_attention_project_k_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *k,
                                       void *scratch) {
  project(op, &op->k, x, tokens, x_stride, head, heads, KEYS, k,
          tg_attention_k_compact_bytes(op, 1, tokens), scratch);
}

void tg_attention_project_v_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *v,
                                       void *scratch) {
  project(op, &op->v, x, tokens, x_stride, head, heads, VALUES, v,
          tg_attention_v_compact_bytes(op, 1, tokens), scratch);
}

size_t tg_attention_project_compact_scratch(const tg_attention_t *op, int32_t tokens) {
  return tg_product_scratch(op->q.k, tokens);
}

void tg_attention_attend_compact_s8(const tg_attention_t *op, const void *q, const void *k,
                                    const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                    int32_t y_stride, void *scratch) {
  tg_attend_compact(op, q, k, v, rows, tokens, y, y_stride, scratch, 0);
}

size_t tg_attention_attend_compact_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  const int32_t row = 2 * tg_round_up(op->dim, 4) + 3 * tg_round_up(tokens, 4);
  return (size_t)(tg_tile_rows(rows) * row);
}
