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
#include "armv7em/compact.h"
#include "tinygen/attention.h"

#ifdef TG_LEVELS /* attention_compact_levels.c: the second half of this file again */
#define tg_attention_attend_compact_s8 tg_attention_attend_compact_levels_s8
#else
#define TG_LEVELS 0
#endif

#if !TG_LEVELS

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
#endif

typedef struct {
  const tg_attention_t *op;
  int32_t tokens, tokens4; /* tokens padded to a multiple of 4 */
  int32_t dim4;
  uint32_t *q;       /* [dim4 / 2][tile] pairs */
  uint32_t *weights; /* [tokens4 / 2][tile] pairs */
  int8_t *scores;    /* [tile][tokens4] */
} attend_t;

static void scores4(const attend_t *t, const uint32_t *k, const int32_t start[4]) {
  const tg_attention_t *op = t->op;
  const int32_t m = op->score_m, s = op->score_s, zp = op->score_zp, words = t->dim4 / 2;
  const int32_t s0 = start[0], s1 = start[1], s2 = start[2], s3 = start[3];
  int8_t *y0 = t->scores, *y1 = y0 + t->tokens4, *y2 = y1 + t->tokens4, *y3 = y2 + t->tokens4;
  const int fast = tg_is_fast(m, s);
  const int32_t up = fast ? tg_shift_up(m, s) : 0;
  for (int32_t j = 0; j < t->tokens; j += 2, k += words) {
    tg_acc4_t a = tg_tile4(t->q, k, words, (tg_acc4_t){s0, s0, s1, s1, s2, s2, s3, s3});
    if (fast) {
      a.a00 = tg_requant_fast(a.a00, up, zp), a.a01 = tg_requant_fast(a.a01, up, zp);
      a.a10 = tg_requant_fast(a.a10, up, zp), a.a11 = tg_requant_fast(a.a11, up, zp);
      a.a20 = tg_requant_fast(a.a20, up, zp), a.a21 = tg_requant_fast(a.a21, up, zp);
      a.a30 = tg_requant_fast(a.a30, up, zp), a.a31 = tg_requant_fast(a.a31, up, zp);
    } else {
      a.a00 = tg_requant(a.a00, m, s, zp), a.a01 = tg_requant(a.a01, m, s, zp);
      a.a10 = tg_requant(a.a10, m, s, zp), a.a11 = tg_requant(a.a11, m, s, zp);
      a.a20 = tg_requant(a.a20, m, s, zp), a.a21 = tg_requant(a.a21, m, s, zp);
      a.a30 = tg_requant(a.a30, m, s, zp), a.a31 = tg_requant(a.a31, m, s, zp);
    }
    /* An odd last key writes into the padding. */
    *y0++ = (int8_t)a.a00, *y0++ = (int8_t)a.a01;
    *y1++ = (int8_t)a.a10, *y1++ = (int8_t)a.a11;
    *y2++ = (int8_t)a.a20, *y2++ = (int8_t)a.a21;
    *y3++ = (int8_t)a.a30, *y3++ = (int8_t)a.a31;
  }
}

static void scores1(const attend_t *t, const uint32_t *k, int32_t start) {
  const tg_attention_t *op = t->op;
  const int32_t words = t->dim4 / 2;
  int8_t *y = t->scores;
  for (int32_t j = 0; j < t->tokens; j += 2, k += words) {
    const tg_acc1_t a = tg_tile1(t->q, k, words, (tg_acc1_t){start, start});
    *y++ = tg_requant(a.a0, op->score_m, op->score_s, op->score_zp);
    *y++ = tg_requant(a.a1, op->score_m, op->score_s, op->score_zp);
  }
}

/* Scores of one row -> weights in every tile-th word; returns the row's multiplier.
 * A weight is below 2^15, so that SMLAD may read it as signed. */
static int32_t weigh(const attend_t *t, int8_t *scores, int32_t tile, uint32_t *to) {
  const tg_attention_t *op = t->op;
  const uint16_t *table = op->exp_table;
#if TG_LEVELS
  uint32_t *word = to;
#endif
  const uint32_t *words = (const uint32_t *)(const void *)scores;
  const int32_t whole = t->tokens / 4, left = t->tokens % 4;
  for (int32_t j = t->tokens; j < t->tokens4; j++)
    scores[j] = -128; /* never above the maximum */
  uint32_t best = words[0];
  for (int32_t j = 1; j < t->tokens4 / 4; j++)
    best = tg_max_s8x4(best, words[j]);
  best = tg_max_s8x4(best, best >> 16 | best << 16);
  best = tg_max_s8x4(best, best >> 8 | best << 24);
  int32_t total = 0;
  for (int32_t j = 0; j < whole; j++, to += 2 * tile) {
    const uint32_t d = tg_usub8(best, words[j]);
    const uint32_t even = tg_pack16(table[d & 0xFF], table[d >> 16 & 0xFF]);
    const uint32_t odd = tg_pack16(table[d >> 8 & 0xFF], table[d >> 24]);
    to[0] = even;
    to[tile] = odd;
    total = tg_smlad(even, 0x10001u, tg_smlad(odd, 0x10001u, total));
  }
  if (left) { /* padded keys weigh nothing */
    const uint32_t d = tg_usub8(best, words[whole]);
    const uint32_t e1 = left > 1 ? table[d >> 8 & 0xFF] : 0;
    const uint32_t e2 = left > 2 ? table[d >> 16 & 0xFF] : 0;
    to[0] = tg_pack16(table[d & 0xFF], e2);
    to[tile] = e1;
    total += (int32_t)(table[d & 0xFF] + e1 + e2);
  }
#if TG_LEVELS
  const tg_levels_t levels = tg_levels((uint32_t)total, op->levels, op->levels_up);
  for (int32_t j = t->tokens4 / 2; j; j--, word += tile)
    *word = tg_round_down(*word & 0xFFFF, levels) | tg_round_down(*word >> 16, levels) << 16;
  total = op->levels << op->levels_up;
#endif
  return tg_row_reciprocal((uint32_t)total, op->context_mult, op->context_frac, op->context_s);
}

/* clamp8((acc * r + 2^32 start) >> s) for s = 32 + shift */
TG_INLINE int8_t context(int32_t acc, int32_t r, int32_t start, int32_t shift) {
  return (int8_t)tg_ssat8(tg_smmla(acc, r, start) >> shift);
}

static void context4(const attend_t *t, const uint32_t *v, const int32_t r[4], int8_t *const y[4]) {
  const tg_attention_t *op = t->op;
  const int32_t dim = op->dim, words = t->tokens4 / 2, shift = op->context_s - 32;
  const int32_t start = op->context_offset;
  for (int32_t p = 0; p < dim; p += 2, v += words) {
    const tg_acc4_t a = tg_tile4(t->weights, v, words, (tg_acc4_t){0});
    const int32_t second = dim - p == 1 ? p : p + 1; /* a padded feature is overwritten */
    y[0][second] = context(a.a01, r[0], start, shift);
    y[1][second] = context(a.a11, r[1], start, shift);
    y[2][second] = context(a.a21, r[2], start, shift);
    y[3][second] = context(a.a31, r[3], start, shift);
    y[0][p] = context(a.a00, r[0], start, shift);
    y[1][p] = context(a.a10, r[1], start, shift);
    y[2][p] = context(a.a20, r[2], start, shift);
    y[3][p] = context(a.a30, r[3], start, shift);
  }
}

static void context1(const attend_t *t, const uint32_t *v, int32_t r, int8_t *y) {
  const tg_attention_t *op = t->op;
  const int32_t dim = op->dim, words = t->tokens4 / 2, shift = op->context_s - 32;
  const int32_t start = op->context_offset;
  for (int32_t p = 0; p < dim; p += 2, v += words) {
    const tg_acc1_t a = tg_tile1(t->weights, v, words, (tg_acc1_t){0, 0});
    y[dim - p == 1 ? p : p + 1] = context(a.a1, r, start, shift);
    y[p] = context(a.a0, r, start, shift);
  }
}

void tg_attention_attend_compact_s8(const tg_attention_t *op, const void *q, const void *k,
                                    const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                    int32_t y_stride, void *scratch) {
  const int32_t most = tg_tile_rows(rows);
  attend_t t = {.op = op, .tokens = tokens};
  t.tokens4 = tg_round_up(tokens, 4);
  t.dim4 = tg_round_up(op->dim, 4);
  t.q = scratch;
  t.weights = t.q + t.dim4 / 2 * most;
  t.scores = (int8_t *)(t.weights + t.tokens4 / 2 * most);
  for (int32_t i = 0, taken; i < rows; i += taken) {
    taken = tg_take(rows - i);
    const int32_t tile = tg_tile_rows(taken);
    int32_t row_term[4];
    int8_t *to[4];
    for (int32_t r = 0; r < tile; r++) {
      const ptrdiff_t row = i + (r < taken ? r : taken - 1);
      row_term[r] = -op->k.zp *
                    tg_expand((const int8_t *)q + row * op->dim, op->dim, op->q.zp, tile, t.q + r);
      to[r] = y + row * y_stride;
    }
    if (tile == 4)
      scores4(&t, k, row_term);
    else
      scores1(&t, k, row_term[0]);
    int32_t multiplier[4];
    for (int32_t r = 0; r < tile; r++)
      multiplier[r] = weigh(&t, t.scores + r * t.tokens4, tile, t.weights + r);
    if (tile == 4)
      context4(&t, v, multiplier, to);
    else
      context1(&t, v, multiplier[0], to[0]);
  }
}

#if !TG_LEVELS
size_t tg_attention_attend_compact_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  const int32_t row = 2 * tg_round_up(op->dim, 4) + 3 * tg_round_up(tokens, 4);
  return (size_t)(tg_tile_rows(rows) * row);
}
#endif
