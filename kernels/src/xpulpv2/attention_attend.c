/* SPDX-License-Identifier: Apache-2.0 */
/* Four query rows at a time: their scores and weights are all that ever exists of the map.
 *
 * Weights of 15 bits go as two bytes, the high eight and the low seven bits, so that both sums run
 * on four tokens an instruction: sum e v = 128 sum high v + sum low v. The exponent table comes in
 * that form, the farthest first: 256 high bytes, then 256 low ones (tinygen.targets.xpulpv2).
 * Weights of eight bits or fewer are the high bytes alone; the low ones are zeros then.
 */
#include "xpulpv2/attention.h"

#ifdef TG_LEVELS /* attention_levels.c: this file again */
#define tg_attention_attend_s8 tg_attention_attend_levels_s8
#define tg_attend_rows tg_attend_rows_levels
#else
#define TG_LEVELS 0
#endif

enum { RUN = 8 }; /* groups of features whose context waits on the stack for its way to y */

#if !TG_LEVELS
static int32_t floor_div(int32_t a, int32_t b) {
  return a / b - (a % b < 0);
}

/* CLIP for scores: they are moved by c->start so that [-limit - 1, limit] becomes [-128, 127], and
 * need not be clamped again. m: stripped; offset: zero point and rounding with s <= 22 bits. */
static int tight(tg_tiles_score_t *c, int32_t m, int32_t s, int32_t offset) {
  const int32_t one = 1 << s;
  const int32_t low = floor_div(-128 * one - offset - 1, m) + 1; /* the first that gives -128 */
  const int32_t above = floor_div(-127 * one - offset - 1, m) + 1;
  const int32_t top = floor_div(127 * one - offset - 1, m) + 1; /* the first that gives 127 */
  const int32_t beyond = floor_div(128 * one - offset - 1, m) + 1;
  if (above - low < 4)
    return 0;
  const int32_t from = low + (above - low) / 2, to = top + (beyond - top) / 2;
  c->limit = (to - from - 1) / 2;
  c->start = c->limit - to;
  c->offset = offset - c->start * m;
  return 1;
}

/* The cheapest rounding that holds for scores; bound: of their sums. Returns TG_ROUND_*. */
static int choose_rounding(tg_tiles_score_t *c, const tg_attention_t *op, int32_t bound) {
  const int32_t zeros = op->score_m ? __builtin_ctz((uint32_t)op->score_m) : 31;
  const int32_t strip = zeros < op->score_s - 1 ? zeros : op->score_s - 1;
  const int32_t m = op->score_m >> strip, s = op->score_s - strip;
  c->start = 0;
  if (s <= 22) {
    const int32_t offset = op->score_zp * (1 << s) + (1 << (s - 1));
    const int32_t room = INT32_MAX - (offset < 0 ? -offset : offset);
    const int low = !m || room / m > bound;
    if (low || (op->dim > 2 && tight(c, m, s, offset))) {
      c->m = m - 1;
      c->shift = s;
      if (low)
        c->offset = offset;
      return low ? TG_ROUND_LOW : TG_ROUND_CLIP;
    }
  }
  if (op->score_s > 2 && op->score_m <= INT32_MAX >> (33 - op->score_s)) {
    c->m = op->score_m << (33 - op->score_s);
    c->offset = 2 * op->score_zp + 1;
    c->shift = 1;
    return TG_ROUND_HIGH;
  }
  c->m = op->score_m;
  c->offset = op->score_zp;
  c->shift = op->score_s;
  return TG_ROUND_WIDE;
}

void tg_attend_prepare(tg_attend_t *a, const tg_attention_t *op, int32_t tokens) {
  const int kind = choose_rounding(&a->score, op, op->dim > 32768 ? INT32_MAX : op->dim * 65025);
  if (op->dim <= 2)
    a->scores = kind == TG_ROUND_LOW    ? tg_tiles_pairs_low
                : kind == TG_ROUND_HIGH ? tg_tiles_pairs_high
                                        : tg_tiles_pairs_wide;
  else
    a->scores = kind == TG_ROUND_LOW    ? tg_tiles_scores_low
                : kind == TG_ROUND_CLIP ? tg_tiles_scores_clip
                : kind == TG_ROUND_HIGH ? tg_tiles_scores_high
                                        : tg_tiles_scores_wide;
  a->words = tg_tile_words(op->dim);
  a->features = tg_tile_words(op->value_dim);
  a->tokens = tg_tile_words(tokens);
  a->narrow = ((const uint8_t *)op->exp_table)[511] == 0;
  a->last = tokens & 3 ? (1 << 8 * (tokens & 3)) - 1 : -1;
}
#endif

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

#if TG_LEVELS
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
#endif

/* Once in the program: code that comes to the cache late is dearer than a call. */
static __attribute__((noinline)) int32_t reciprocal(const tg_attention_t *op, uint32_t sum) {
  return tg_row_reciprocal(sum, op->context_mult, op->context_frac, op->context_s);
}

#if !TG_LEVELS
/* Weights of eight bits: a few groups of four rows at a time, stage after stage, so that the code
 * of each comes to the cache once for all. */
static void attend_narrow(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q,
                          const tg_word_t *k, const tg_word_t *v, int32_t rows, int8_t *y,
                          int32_t y_stride, tg_word_t *s) {
  const int32_t dim = op->value_dim, size = 4 * a->tokens;
  int32_t whole = rows >> 2, sums[4 * TG_ATTEND_GROUPS];
  tg_tiles_context_narrow_t c;
  c.offset = op->context_offset;
  c.shift = op->context_s - 32;
  for (int32_t g = 0; 4 * g < rows; g++)
    scores(a, op, q + 4 * g * a->words, k, s + g * size);
  tg_tiles_softmax_narrow(s, (const uint8_t *)op->exp_table, a->last, a->tokens - 1, sums, rows);
  for (int32_t i = 0; i < rows; i++)
    c.r[i] = reciprocal(op, (uint32_t)sums[i]);
  for (int32_t i = rows; i & 3; i++)
    c.r[i] = 0; /* of scores, not weights, and dropped */
  const uintptr_t places = (uintptr_t)y | (uintptr_t)y_stride;
  c.groups = whole;
  c.between_rows = y_stride;
  c.between_features = 4 - 3 * y_stride;
  c.between_groups = 4 * y_stride;
  if (whole && dim == 2 && (places & 1) == 0)
    tg_tiles_context_narrow_pair(s, v, a->tokens, y, &c);
  else if (whole && ((places | (uintptr_t)dim) & 3) == 0)
    tg_tiles_context_narrow(s, v, a->tokens, a->features, y, &c);
  else
    whole = 0;
  c.groups = 1;
  c.between_rows = c.between_features = 4;
  for (int32_t g = whole; 4 * g < rows; g++) {
    int8_t *const to = y + 4 * g * (ptrdiff_t)y_stride;
    const int32_t here = rows - 4 * g < 4 ? rows - 4 * g : 4;
    const tg_word_t *columns = v;
    for (int i = 0; i < 4; i++)
      c.r[i] = c.r[4 * g + i];
    for (int32_t p = 0; p < dim; p += 4 * RUN) {
      const int32_t left = (dim - p + 3) / 4, run = left < RUN ? left : RUN;
      tg_word_t results[4 * RUN];
      if (dim <= 2)
        tg_tiles_context_narrow_pair(s + g * size, columns, a->tokens, results, &c);
      else
        tg_tiles_context_narrow(s + g * size, columns, a->tokens, run, results, &c);
      columns += run * size;
      for (int32_t i = 0; i < here; i++)
        for (int32_t j = p; j < dim && j < p + 4 * RUN; j++)
          to[i * (ptrdiff_t)y_stride + j] =
              ((const int8_t *)(results + i))[((j - p) >> 2) * 16 + (j & 3)];
    }
  }
}
#endif

/* Weights of more bits: four rows. */
static void attend_wide(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q,
                        const tg_word_t *k, const tg_word_t *v, int32_t rows, int8_t *y,
                        int32_t y_stride, tg_word_t *scratch) {
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
#if TG_LEVELS
    total = round_down(op, total, place, a->tokens, e + (i >> 1) * 4 * a->tokens + (i & 1) * 2);
#endif
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

void tg_attend_rows(tg_attend_t *a, const tg_attention_t *op, const void *q, const void *k,
                    const void *v, int32_t rows, int8_t *y, int32_t y_stride, void *scratch) {
  int32_t most = 4;
  void (*attend)(tg_attend_t *, const tg_attention_t *, const tg_word_t *, const tg_word_t *,
                 const tg_word_t *, int32_t, int8_t *, int32_t, tg_word_t *) = attend_wide;
#if !TG_LEVELS
  if (a->narrow) {
    most = 4 * TG_ATTEND_GROUPS;
    attend = attend_narrow;
  }
#endif
  const tg_word_t *from = q;
  for (; rows > 0; rows -= most, from += most * a->words, y += most * (ptrdiff_t)y_stride)
    attend(a, op, from, k, v, rows < most ? rows : most, y, y_stride, scratch);
}

void tg_attention_attend_s8(const tg_attention_t *op, const void *q, const void *k, const void *v,
                            int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride,
                            void *scratch) {
  tg_attend_t a;
  tg_attend_prepare(&a, op, tokens);
  tg_attend_rows(&a, op, q, k, v, rows, y, y_stride, scratch);
}

#if !TG_LEVELS
size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  (void)op;
  (void)rows;
  return 48u * (size_t)tg_tile_words(tokens);
}
#endif
