/* SPDX-License-Identifier: Apache-2.0 */
/* How scores are rounded, and attention with weights as they are. */
#include "xpulpv2/attend.h"

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

/* Weights of more bits: four rows. */
static void attend_wide(tg_attend_t *a, const tg_attention_t *op, const tg_word_t *q,
                        const tg_word_t *k, const tg_word_t *v, int32_t rows, int8_t *y,
                        int32_t y_stride, tg_word_t *scratch) {
  attend_four(a, op, q, k, v, rows, y, y_stride, scratch, 0);
}

void tg_attend_rows(tg_attend_t *a, const tg_attention_t *op, const void *q, const void *k,
                    const void *v, int32_t rows, int8_t *y, int32_t y_stride, void *scratch) {
  int32_t most = 4;
  void (*attend)(tg_attend_t *, const tg_attention_t *, const tg_word_t *, const tg_word_t *,
                 const tg_word_t *, int32_t, int8_t *, int32_t, tg_word_t *) = attend_wide;
  if (a->narrow) {
    most = 4 * TG_ATTEND_GROUPS;
    attend = attend_narrow;
  }
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

size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  (void)op;
  (void)rows;
  return 48u * (size_t)tg_tile_words(tokens);
}
