/* SPDX-License-Identifier: Apache-2.0 */
/* One group of query rows at a time through scores, exponent and context; see attention_layout.h.
 *
 * Scores stand as bytes s + 128, [key][row], so that USUB8 and SEL find the maxima of all rows at
 * once; weights as the next product's `a`: [T/2][rows] words of two tokens.
 *
 * Two files make a function of it, attention_attend.c and attention_levels.c, so that the usual one
 * neither asks which it is nor carries the other's code. */
#ifndef TINYGEN_ARMV7EM_ATTEND_H
#define TINYGEN_ARMV7EM_ATTEND_H

#include "armv7em/attention_layout.h"

/* score_m << (32 - s) where that fits and no score can leave 16 bits, else -1. */
static inline int32_t score_multiplier(const tg_attention_t *op) {
  const uint32_t m = (uint32_t)op->score_m, up = (uint32_t)(32 - op->score_s);
  const uint32_t most = ((((m << up >> 16) + 1) * (uint32_t)op->dim >> 8) + 1) * 255;
  return m >> (31 - up) == 0 && most < INT16_MAX - 512 ? (int32_t)(m << up) : -1;
}

/* Scores that are far out of range before they are clamped. */
static inline uint32_t score_by_hand(const tg_attention_t *op, const tg_tile_set_t *set,
                                     const uint32_t *q, const uint8_t *k, int32_t rows,
                                     int32_t key_pairs, uint8_t *scores) {
  const int32_t pairs = tg_halves(op->dim), step = 8 * pairs;
  uint8_t max[4] = {0, 0, 0, 0};
  for (int32_t j = 0; j < key_pairs; j++, k += step, scores += 2 * rows) {
    int32_t acc[8];
    set->attend(q, k, k + step, step, pairs, acc, set->raw16, 0, 0, 0, 0, 1, 0, 0);
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < 2; c++) {
        const int8_t s = tg_requant(acc[2 * r + c], op->score_m, op->score_s, op->score_zp);
        const uint8_t u = (uint8_t)(s + 128);
        scores[rows * c + r] = u;
        max[r] = (uint8_t)tg_max8(u, max[r]);
      }
  }
  return tg_load32(max);
}

/* The maximum of row r, from the maxima of the bytes of words of [2 or fewer keys][rows]. */
static inline uint32_t row_maximum(uint32_t maxima, int32_t rows, int32_t r) {
  if (rows < 4)
    maxima = tg_max8(maxima, maxima >> (8 * rows));
  return maxima >> (8 * r) & 255;
}

/* Weights of one row; returns their sum. table: of which [score] is this row's weight. */
TG_INLINE uint32_t exponents(const uint8_t *scores, const uint16_t *table, int32_t tokens,
                             int32_t rows, uint32_t *weights) {
  const uint32_t ones = 0x10001;
  int32_t sum = 0, pairs = tokens / 2;
#define PAIR_OF_WEIGHTS(i)                                                                         \
  do {                                                                                             \
    const uint32_t w_ =                                                                            \
        table[scores[2 * (i) * rows]] | (uint32_t)table[scores[(2 * (i) + 1) * rows]] << 16;       \
    weights[(i) * rows] = w_;                                                                      \
    sum = tg_smlad(w_, ones, sum);                                                                 \
  } while (0)
  for (; pairs >= 8; pairs -= 8, scores += 16 * rows, weights += 8 * rows) {
    PAIR_OF_WEIGHTS(0);
    PAIR_OF_WEIGHTS(1);
    PAIR_OF_WEIGHTS(2);
    PAIR_OF_WEIGHTS(3);
    PAIR_OF_WEIGHTS(4);
    PAIR_OF_WEIGHTS(5);
    PAIR_OF_WEIGHTS(6);
    PAIR_OF_WEIGHTS(7);
  }
  for (; pairs; pairs--, scores += 2 * rows, weights += rows)
    PAIR_OF_WEIGHTS(0);
#undef PAIR_OF_WEIGHTS
  if (tokens & 1) {
    weights[0] = table[scores[0]];
    sum += (int32_t)weights[0];
  }
  return (uint32_t)sum;
}

/* A row's weights, two in every rows-th word; returns their new sum. */
static inline uint32_t round_down(const tg_attention_t *op, uint32_t total, int32_t tokens,
                                  int32_t rows, uint32_t *weights) {
  const tg_levels_t to = tg_levels(total, op->levels, op->levels_up);
  for (int32_t i = tg_halves(tokens); i; i--, weights += rows)
    *weights = tg_round_down(*weights & 0xFFFF, to) | tg_round_down(*weights >> 16, to) << 16;
  return (uint32_t)op->levels << op->levels_up;
}

TG_INLINE void weigh(const tg_attention_t *op, uint32_t maxima, const uint8_t *scores,
                     int32_t tokens, int32_t rows, uint32_t *weights, int32_t *reciprocals,
                     int rounded) {
  for (int32_t r = 0; r < rows; r++) {
    const uint16_t *table = op->exp_table + (255 - (int32_t)row_maximum(maxima, rows, r));
    uint32_t total = exponents(scores + r, table, tokens, rows, weights + r);
    if (rounded)
      total = round_down(op, total, tokens, rows, weights + r);
    reciprocals[r] = tg_row_reciprocal(total, op->context_mult, op->context_frac, op->context_s);
  }
}

/* Features from `p` on: a lone last one, or all where the shift is not the usual one. */
static inline void context_by_hand(const tg_attention_t *op, const tg_tile_set_t *set,
                                   const uint32_t *weights, const uint8_t *v, int32_t p,
                                   int32_t rows, int32_t key_pairs, const int32_t *reciprocals,
                                   int8_t *y, int32_t y_stride) {
  const int32_t step = 8 * key_pairs;
  int32_t acc[8];
  for (v += (ptrdiff_t)(p / 2) * step; p < op->value_dim; p++) {
    if (p % 2 == 0) {
      set->attend(weights, v, v + step, step, key_pairs, acc, set->raw16, 0, 0, 0, 0, 1, 0, 0);
      v += step;
    }
    for (int32_t r = 0; r < rows; r++)
      y[(ptrdiff_t)r * y_stride + p] =
          tg_normalise(acc[2 * r + p % 2], reciprocals[r], op->context_offset, op->context_s);
  }
}

/* tg_attention_attend_s8. rounded: a constant, whether weights are rounded down to few levels. */
TG_INLINE void tg_attend(const tg_attention_t *op, const void *q, const void *k, const void *v,
                         int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride, void *scratch,
                         int rounded) {
  const int32_t pairs = tg_halves(op->dim), key_pairs = tg_halves(tokens);
  const int32_t k_bytes = 8 * pairs * key_pairs, v_strip = 8 * key_pairs;
  const int32_t m = score_multiplier(op);
  const int32_t whole = op->context_s == 40 ? op->value_dim / 2 : 0;
  const uint32_t *group_q = q;
  while (rows) {
    const int32_t group = tg_group_rows(rows);
    const tg_tile_set_t *set = tg_tile_set(group);
    uint32_t *weights = scratch;
    uint8_t *scores = (uint8_t *)(weights + group * key_pairs);
    int32_t reciprocals[4];
    uint32_t maxima;
    if (m >= 0)
      maxima = set->attend(group_q, k, (const uint8_t *)k + k_bytes, 8 * pairs, pairs, scores,
                           set->score, op->score_zp + 128, m, 0, 0, 1, 0, 0);
    else
      maxima = score_by_hand(op, set, group_q, k, group, key_pairs, scores);
    if (group == 4)
      weigh(op, maxima, scores, tokens, 4, weights, reciprocals, rounded);
    else if (group == 2)
      weigh(op, maxima, scores, tokens, 2, weights, reciprocals, rounded);
    else
      weigh(op, maxima, scores, tokens, 1, weights, reciprocals, rounded);
    if (whole)
      set->attend(weights, v, (const uint8_t *)v + (ptrdiff_t)whole * v_strip, v_strip, key_pairs,
                  y, set->context, op->context_offset, (int32_t)(uintptr_t)reciprocals, y_stride, 0,
                  1, 0, 0);
    if (2 * whole < op->value_dim)
      context_by_hand(op, set, weights, v, 2 * whole, group, key_pairs, reciprocals, y, y_stride);
    group_q += group * pairs;
    rows -= group;
    y += (ptrdiff_t)group * y_stride;
  }
}

#endif
