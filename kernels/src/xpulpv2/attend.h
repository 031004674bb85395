/* SPDX-License-Identifier: Apache-2.0 */
/* Four query rows at a time: their scores and weights are all that ever exists of the map.
 *
 * Weights of 15 bits go as two bytes, the high eight and the low seven bits, so that both sums run
 * on four tokens an instruction: sum e v = 128 sum high v + sum low v. The exponent table comes in
 * that form, the farthest first: 256 high bytes, then 256 low ones (tinygen.targets.xpulpv2).
 * Weights of eight bits or fewer are the high bytes alone; the low ones are zeros then.
 *
 * Two files make functions of it, attention_attend.c and attention_levels.c, so that the usual one
 * neither asks which it is nor carries the other's code. Not inline: the compiler shall judge the
 * size of these functions as in one file.
 */
#ifndef TINYGEN_XPULPV2_ATTEND_H
#define TINYGEN_XPULPV2_ATTEND_H

#include "common/arith.h"
#include "xpulpv2/attention.h"

enum { RUN = 8 }; /* groups of features whose context waits on the stack for its way to y */

/* Scores of four rows, [tokens][4 rows]. */
static void scores(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q, const tg_word_t *k,
                   tg_word_t *to) {
  const tg_word_t *from = q;
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  if (op->dim > 2)
    for (int32_t p = a->words; p; p--, from += 4) {
      const int32_t q0 = from[0], q1 = from[1], q2 = from[2], q3 = from[3];
      sum0 = tg_sdotsp4(sum0, q0, TG_ONES);
      sum1 = tg_sdotsp4(sum1, q1, TG_ONES);
      sum2 = tg_sdotsp4(sum2, q2, TG_ONES);
      sum3 = tg_sdotsp4(sum3, q3, TG_ONES);
    }
  a->score.row[0] = a->score.start - op->k.zp * sum0;
  a->score.row[1] = a->score.start - op->k.zp * sum1;
  a->score.row[2] = a->score.start - op->k.zp * sum2;
  a->score.row[3] = a->score.start - op->k.zp * sum3;
  a->scores(q, k, a->words, a->tokens, to, &a->score);
}

/* Each row's largest score. */
static void maxima(const tg_attend_t *a, const tg_word_t *s, int32_t max[4]) {
  int32_t top0 = s[0], top1 = s[1], top2 = s[2], top3 = s[3];
  for (int32_t t = a->tokens - 1; t; t--) {
    s += 4;
    const int32_t s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
    top0 = tg_max4(top0, s0);
    top1 = tg_max4(top1, s1);
    top2 = tg_max4(top2, s2);
    top3 = tg_max4(top3, s3);
  }
  const int32_t top[4] = {top0, top1, top2, top3};
  for (int i = 0; i < 4; i++) {
    const int32_t half = tg_max4(top[i], (int32_t)((uint32_t)top[i] >> 16));
    max[i] = (int8_t)tg_max4(half, (int32_t)((uint32_t)half >> 8));
  }
}

/* Context of two rows; the second of one is anything and dropped. */
static void context(const tg_attend_t *a, const tg_attention_t *op, const tg_word_t *e,
                    const tg_word_t *v, tg_tiles_context_t *c, int32_t rows, int8_t *y,
                    int32_t y_stride) {
  const int32_t dim = op->value_dim;
  if (rows == 2 && (((uintptr_t)y | (uintptr_t)y_stride | (uintptr_t)dim) & 3) == 0) {
    c->between_rows = y_stride;
    c->between_features = 4 - y_stride;
    tg_tiles_context(e, v, a->tokens, a->features, y, c);
    return;
  }
  c->between_rows = c->between_features = 4;
  for (int32_t p = 0; p < dim; p += 4 * RUN) {
    const int32_t left = (dim - p + 3) / 4, run = left < RUN ? left : RUN;
    const int32_t here = dim - p < 4 * RUN ? dim - p : 4 * RUN;
    tg_word_t results[2 * RUN];
    if (dim <= 2)
      tg_tiles_context_pair(e, v, a->tokens, 1, results, c);
    else
      tg_tiles_context(e, v, a->tokens, run, results, c);
    v += 4 * run * a->tokens;
    for (int32_t i = 0; i < rows; i++)
      for (int32_t j = 0; j < here; j++)
        y[i * (ptrdiff_t)y_stride + p + j] =
            ((const int8_t *)(results + i))[(j >> 2) * 8 + (j & 3)];
  }
}

/* A row's weights: high and low halves of four tokens in every fourth word; returns their sum.
 * place: of the high halves. */
static uint32_t round_down(const tg_attention_t *op, uint32_t total, uint32_t place, int32_t tokens,
                           tg_word_t *e) {
  const tg_levels_t to = tg_levels(total, op->levels, op->levels_up);
  for (; tokens; tokens--, e += 4) {
    uint8_t *const high = (uint8_t *)e, *const low = (uint8_t *)(e + 1);
    for (int i = 0; i < 4; i++) {
      const uint32_t w = tg_round_down(high[i] * place + low[i], to);
      high[i] = (uint8_t)(w >> 7);
      low[i] = (uint8_t)(w & 127);
    }
  }
  return (uint32_t)op->levels << op->levels_up;
}

/* Once in the program: code that comes to the cache late is dearer than a call. */
static __attribute__((noinline)) int32_t reciprocal(const tg_attention_t *op, uint32_t sum) {
  return tg_row_reciprocal(sum, op->context_mult, op->context_frac, op->context_s);
}

/* Four rows. rounded: a constant, whether weights are rounded down to few levels. */
TG_INLINE void attend_four(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q,
                           const tg_word_t *k, const tg_word_t *v, int32_t rows, int8_t *y,
                           int32_t y_stride, tg_word_t *scratch, int rounded) {
  tg_word_t *const s = scratch, *const e = s + 4 * a->tokens;
  tg_tiles_context_t c = {.offset = op->context_offset, .shift = op->context_s - 32};
  int32_t max[4];
  scores(a, op, q, k, s);
  maxima(a, s, max);
  for (int32_t i = 0; i < rows; i++) {
    const uint8_t *const table = (const uint8_t *)op->exp_table + 255 - max[i];
    int32_t sums[2];
    tg_tiles_weights((const int8_t *)(s + i), table, e + (i >> 1) * 4 * a->tokens + (i & 1) * 2,
                     a->tokens - 1, a->last, sums);
    const uint32_t place = a->narrow ? 1 : 128;
    uint32_t total = (uint32_t)sums[0] * place + (uint32_t)sums[1];
    if (rounded)
      total = round_down(op, total, place, a->tokens, e + (i >> 1) * 4 * a->tokens + (i & 1) * 2);
    c.r[i & 1] = reciprocal(op, total);
    if (i & 1)
      context(a, op, e + (i >> 1) * 4 * a->tokens, v, &c, 2, y + (i - 1) * (ptrdiff_t)y_stride,
              y_stride);
  }
  if (rows & 1) {
    tg_word_t *const pair = e + (rows >> 1) * 4 * a->tokens;
    for (int32_t t = 0; t < a->tokens; t++) /* must not be read uninitialised */
      pair[4 * t + 2] = pair[4 * t + 3] = 0;
    c.r[1] = 0;
    context(a, op, pair, v, &c, 1, y + (rows - 1) * (ptrdiff_t)y_stride, y_stride);
  }
}

#endif
