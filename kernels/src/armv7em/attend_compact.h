/* SPDX-License-Identifier: Apache-2.0 */
/* One tile of query rows at a time through scores, exponent and context, with q, k and v in 8 bits;
 * see attention_compact.c for what they look like. Two files make a function of it,
 * attention_compact.c and attention_compact_levels.c, so that the usual one neither asks which it
 * is nor carries the other's code. */
#ifndef TINYGEN_ARMV7EM_ATTEND_COMPACT_H
#define TINYGEN_ARMV7EM_ATTEND_COMPACT_H

#include "armv7em/compact.h"
#include "tinygen/attention.h"

typedef struct {
  const tg_attention_t *op;
  int32_t tokens, tokens4; /* tokens padded to a multiple of 4 */
  int32_t dim4;
  uint32_t *q;       /* [dim4 / 2][tile] pairs */
  uint32_t *weights; /* [tokens4 / 2][tile] pairs */
  int8_t *scores;    /* [tile][tokens4] */
} attend_t;

static inline void scores4(const attend_t *t, const uint32_t *k, const int32_t start[4]) {
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

static inline void scores1(const attend_t *t, const uint32_t *k, int32_t start) {
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
static inline int32_t weigh(const attend_t *t, int8_t *scores, int32_t tile, uint32_t *to,
                            int rounded) {
  const tg_attention_t *op = t->op;
  const uint16_t *table = op->exp_table;
  uint32_t *word = to;
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
  if (rounded) {
    const tg_levels_t levels = tg_levels((uint32_t)total, op->levels, op->levels_up);
    for (int32_t j = t->tokens4 / 2; j; j--, word += tile)
      *word = tg_round_down(*word & 0xFFFF, levels) | tg_round_down(*word >> 16, levels) << 16;
    total = op->levels << op->levels_up;
  }
  return tg_row_reciprocal((uint32_t)total, op->context_mult, op->context_frac, op->context_s);
}

/* clamp8((acc * r + 2^32 start) >> s) for s = 32 + shift */
TG_INLINE int8_t context(int32_t acc, int32_t r, int32_t start, int32_t shift) {
  return (int8_t)tg_ssat8(tg_smmla(acc, r, start) >> shift);
}

static inline void context4(const attend_t *t, const uint32_t *v, const int32_t r[4],
                            int8_t *const y[4]) {
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

static inline void context1(const attend_t *t, const uint32_t *v, int32_t r, int8_t *y) {
  const tg_attention_t *op = t->op;
  const int32_t dim = op->dim, words = t->tokens4 / 2, shift = op->context_s - 32;
  const int32_t start = op->context_offset;
  for (int32_t p = 0; p < dim; p += 2, v += words) {
    const tg_acc1_t a = tg_tile1(t->weights, v, words, (tg_acc1_t){0, 0});
    y[dim - p == 1 ? p : p + 1] = context(a.a1, r, start, shift);
    y[p] = context(a.a0, r, start, shift);
  }
}

/* tg_attention_attend_compact_s8. rounded: a constant, whether weights are rounded down to few
 * levels. */
TG_INLINE void tg_attend_compact(const tg_attention_t *op, const void *q, const void *k,
                                 const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                 int32_t y_stride, void *scratch, int rounded) {
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
      multiplier[r] = weigh(&t, t.scores + r * t.tokens4, tile, t.weights + r, rounded);
    if (tile == 4)
      context4(&t, v, multiplier, to);
    else
      context1(&t, v, multiplier[0], to[0]);
  }
}

#endif
