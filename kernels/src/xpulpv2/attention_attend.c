/* SPDX-License-Identifier: Apache-2.0 */
/* Four query rows at a time: their scores and weights are all that ever exists of the map.
 *
 * Weights of 15 bits go as two bytes, the high eight and the low seven bits, so that both sums run
 * on four tokens an instruction: sum e v = 128 sum high v + sum low v. The exponent table comes in
 * that form, the farthest first: 256 high bytes, then 256 low ones (tinygen.targets.xpulpv2).
 */
#include "xpulpv2/attention.h"

#ifdef TG_LEVELS /* attention_levels.c: this file again */
#define tg_attention_attend_s8 tg_attention_attend_levels_s8
#define tg_attend_group tg_attend_group_levels
#else
#define TG_LEVELS 0
#endif

enum { RUN = 8 }; /* groups of features whose context waits on the stack for its way to y */

#if !TG_LEVELS
/* The cheapest rounding that holds for scores; bound: of their sums. */
static void choose_rounding(tg_attend_t *a, const tg_attention_t *op, int32_t bound) {
  tg_tiles_score_t *const c = &a->score;
  const int32_t zeros = op->score_m ? __builtin_ctz((uint32_t)op->score_m) : 31;
  const int32_t strip = zeros < op->score_s - 1 ? zeros : op->score_s - 1;
  const int32_t m = op->score_m >> strip, s = op->score_s - strip;
  a->kind = TG_ROUND_WIDE;
  c->m = op->score_m;
  c->offset = op->score_zp;
  c->shift = op->score_s;
  if (s <= 22) {
    const int32_t offset = op->score_zp * (1 << s) + (1 << (s - 1));
    const int32_t room = INT32_MAX - (offset < 0 ? -offset : offset);
    const int32_t limit = m ? room / m - 1 : INT32_MAX;
    const int32_t most = limit < bound ? limit * m : 0;
    if (limit >= bound || ((most + offset) >> s >= 127 && (offset - most) >> s <= -128)) {
      a->kind = limit >= bound ? TG_ROUND_LOW : TG_ROUND_CLIP;
      c->m = m;
      c->offset = offset;
      c->shift = s;
      c->limit = limit;
      return;
    }
  }
  if (op->score_s > 2 && op->score_m <= INT32_MAX >> (33 - op->score_s)) {
    a->kind = TG_ROUND_HIGH;
    c->m = op->score_m << (33 - op->score_s);
    c->offset = 2 * op->score_zp + 1;
    c->shift = 1;
  }
}

void tg_attend_prepare(tg_attend_t *a, const tg_attention_t *op, int32_t tokens) {
  a->words = a->features = tg_tile_words(op->dim);
  a->tokens = tg_tile_words(tokens);
  a->last = tokens & 3 ? (1 << 8 * (tokens & 3)) - 1 : -1;
  choose_rounding(a, op, op->dim > 32768 ? INT32_MAX : op->dim * 255 * 255);
}
#endif

/* Scores of four rows, [tokens][4 rows], and each row's largest. */
static void scores(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q, const tg_word_t *k,
                   tg_word_t *to, int32_t max[4]) {
  static TG_TILES_SCORES((*const how[4])) = {tg_tiles_scores_high, tg_tiles_scores_low,
                                             tg_tiles_scores_clip, tg_tiles_scores_wide};
  for (int i = 0; i < 4; i++) {
    int32_t sum = 0;
    for (int32_t p = 0; p < a->words; p++)
      sum = tg_sdotsp4(sum, q[4 * p + i], TG_ONES);
    a->score.row[i] = -op->k.zp * sum;
  }
  const int word = a->words == 1 && a->kind == TG_ROUND_LOW;
  (word ? tg_tiles_scores_word : how[a->kind])(q, k, a->words, a->tokens, to, &a->score);
  int32_t top0 = to[0], top1 = to[1], top2 = to[2], top3 = to[3];
  for (int32_t t = a->tokens - 1; t; t--) {
    to += 4;
    const int32_t s0 = to[0], s1 = to[1], s2 = to[2], s3 = to[3];
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
  const int32_t dim = op->dim;
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

#if TG_LEVELS
/* A row's weights: high and low halves of four tokens in every fourth word; returns their sum. */
static uint32_t round_down(const tg_attention_t *op, uint32_t total, int32_t tokens, tg_word_t *e) {
  const tg_levels_t to = tg_levels(total, op->levels, op->levels_up);
  for (; tokens; tokens--, e += 4) {
    uint8_t *const high = (uint8_t *)e, *const low = (uint8_t *)(e + 1);
    for (int i = 0; i < 4; i++) {
      const uint32_t w = tg_round_down(high[i] * 128u + low[i], to);
      high[i] = (uint8_t)(w >> 7);
      low[i] = (uint8_t)(w & 127);
    }
  }
  return (uint32_t)op->levels << op->levels_up;
}
#endif

void tg_attend_group(tg_attend_t *a, const tg_attention_t *op, const void *q, const void *k,
                     const void *v, int32_t rows, int8_t *y, int32_t y_stride, void *scratch) {
  tg_word_t *const s = scratch, *const e = s + 4 * a->tokens;
  tg_tiles_context_t c = {.offset = op->context_offset, .shift = op->context_s - 32};
  int32_t max[4];
  scores(a, op, q, k, s, max);
  for (int32_t i = 0; i < rows; i++) {
    const uint8_t *const table = (const uint8_t *)op->exp_table + 255 - max[i];
    int32_t sums[2];
    tg_tiles_weights((const int8_t *)(s + i), table, e + (i >> 1) * 4 * a->tokens + (i & 1) * 2,
                     a->tokens - 1, a->last, sums);
    uint32_t total = (uint32_t)sums[0] * 128u + (uint32_t)sums[1];
#if TG_LEVELS
    total = round_down(op, total, a->tokens, e + (i >> 1) * 4 * a->tokens + (i & 1) * 2);
#endif
    c.r[i & 1] = tg_row_reciprocal(total, op->context_mult, op->context_frac, op->context_s);
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

void tg_attention_attend_s8(const tg_attention_t *op, const void *q, const void *k, const void *v,
                            int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride,
                            void *scratch) {
  tg_attend_t a;
  tg_attend_prepare(&a, op, tokens);
  for (int32_t i = 0; i < rows; i += 4)
    tg_attend_group(&a, op, (const tg_word_t *)q + i * a.words, k, v, rows - i < 4 ? rows - i : 4,
                    y + (ptrdiff_t)i * y_stride, y_stride, scratch);
}

#if !TG_LEVELS
size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  (void)op;
  (void)rows;
  return 48u * (size_t)tg_tile_words(tokens);
}
#endif
