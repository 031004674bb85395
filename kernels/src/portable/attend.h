/* SPDX-License-Identifier: Apache-2.0 */
/* One query row at a time: its scores and weights are all that ever exists of the S x S map.
 *
 * Two files make a function of it, attention_attend.c and attention_levels.c, so that the usual one
 * neither asks which it is nor carries the other's code. */
#ifndef TINYGEN_PORTABLE_ATTEND_H
#define TINYGEN_PORTABLE_ATTEND_H

#include "common/arith.h"
#include "tinygen/attention.h"

/* Two sums of a[i] * b[i] at once, so that a is loaded once for both. Within int32: |b| <= 128, and
 * a is either a query feature (9 bits) or a weight (the sum of a row's weights is below 2^24). */
#define DOT2(a, b0, b1, count, acc0, acc1)                                                         \
  do {                                                                                             \
    for (int32_t i_ = 0; i_ < (count); i_++) {                                                     \
      const int32_t a_ = (a)[i_];                                                                  \
      (acc0) += a_ * (b0)[i_];                                                                     \
      (acc1) += a_ * (b1)[i_];                                                                     \
    }                                                                                              \
  } while (0)

/* scores[j] = clamp8(...sum_p (q - zq)(k - zk)...); returns the row's maximum.
 * centred: [P], receives q - zq, which leaves zk a term of the row: -zk sum(q - zq). */
static inline int32_t score_row(const tg_attention_t *op, const int8_t *q, const int8_t *k,
                                int32_t tokens, int16_t *centred, int8_t *scores) {
  const int32_t dim = op->dim;
  int32_t start = 0, max = -128;
  for (int32_t p = 0; p < dim; p++) {
    centred[p] = (int16_t)(q[p] - op->q.zp);
    start -= centred[p] * op->k.zp;
  }
  for (int32_t j = 0; j < tokens; j += 2) {
    const int last = tokens - j == 1;
    const int8_t *k0 = k + (ptrdiff_t)j * dim, *k1 = last ? k0 : k0 + dim;
    int32_t acc0 = start, acc1 = start;
    DOT2(centred, k0, k1, dim, acc0, acc1);
    scores[j] = tg_requant(acc0, op->score_m, op->score_s, op->score_zp);
    max = scores[j] > max ? scores[j] : max;
    if (!last) {
      scores[j + 1] = tg_requant(acc1, op->score_m, op->score_s, op->score_zp);
      max = scores[j + 1] > max ? scores[j + 1] : max;
    }
  }
  return max;
}

static inline void context_row(const tg_attention_t *op, const uint16_t *weights, const int8_t *v,
                               int32_t tokens, int32_t reciprocal, int8_t *y) {
  const int32_t dim = op->value_dim;
  for (int32_t p = 0; p < dim; p += 2) {
    const int last = dim - p == 1;
    const int8_t *v0 = v + (ptrdiff_t)p * tokens, *v1 = last ? v0 : v0 + tokens;
    int32_t acc0 = 0, acc1 = 0;
    DOT2(weights, v0, v1, tokens, acc0, acc1);
    y[p] = tg_normalise(acc0, reciprocal, op->context_offset, op->context_s);
    if (!last)
      y[p + 1] = tg_normalise(acc1, reciprocal, op->context_offset, op->context_s);
  }
}

/* tg_attention_attend_s8. rounded: a constant, whether weights are rounded down to few levels. */
TG_INLINE void tg_attend(const tg_attention_t *op, const void *q, const void *k, const void *v,
                         int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride, void *scratch,
                         int rounded) {
  int16_t *centred = scratch;
  uint16_t *weights = (uint16_t *)(centred + op->dim);
  int8_t *scores = (int8_t *)(weights + tokens);
  for (int32_t i = 0; i < rows; i++) {
    const int8_t *q_row = (const int8_t *)q + (ptrdiff_t)i * op->dim;
    const int32_t max = score_row(op, q_row, k, tokens, centred, scores);
    uint32_t total = 0;
    for (int32_t j = 0; j < tokens; j++) {
      weights[j] = op->exp_table[max - scores[j]];
      total += weights[j];
    }
    if (rounded) {
      const tg_levels_t to = tg_levels(total, op->levels, op->levels_up);
      for (int32_t j = 0; j < tokens; j++)
        weights[j] = (uint16_t)tg_round_down(weights[j], to);
      total = (uint32_t)op->levels << op->levels_up;
    }
    context_row(op, weights, v, tokens,
                tg_row_reciprocal(total, op->context_mult, op->context_frac, op->context_s),
                y + (ptrdiff_t)i * y_stride);
  }
}

#endif
