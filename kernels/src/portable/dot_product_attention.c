/* SPDX-License-Identifier: Apache-2.0 */
/* One query row at a time, and only the keys that it sees: their scores and weights are all that
 * ever exists of the S x T map. */
#include "tinygen/dot_product_attention.h"

#include "common/arith.h"

typedef tg_dot_product_attention_t op_t;

/* The keys that a row sees, in order; returns how many. */
static int32_t list_keys(const uint8_t *mask, int32_t keys, uint16_t *seen) {
  int32_t count = 0;
  for (int32_t j = 0; j < keys; j++)
    if (!mask || mask[j >> 3] >> (j & 7) & 1)
      seen[count++] = (uint16_t)j;
  return count;
}

/* Scores of the listed keys of one head; returns their maximum. centred: [dim], receives q - zq. */
static int32_t score_row(const op_t *op, const int8_t *q, const int8_t *k, const uint16_t *seen,
                         int32_t count, int16_t *centred, int8_t *scores) {
  const int32_t dim = op->dim, stride = op->heads * dim;
  int32_t start = 0, max = -128;
  for (int32_t p = 0; p < dim; p++) {
    centred[p] = (int16_t)(q[p] - op->q_zp);
    start -= centred[p] * op->k_zp;
  }
  for (int32_t c = 0; c < count; c += 2) {
    /* At an odd end the second key repeats the first. */
    const int32_t next = count - c > 1 ? c + 1 : c;
    const int8_t *k0 = k + (ptrdiff_t)seen[c] * stride, *k1 = k + (ptrdiff_t)seen[next] * stride;
    int32_t acc0 = start, acc1 = start;
    for (int32_t p = 0; p < dim; p++) {
      acc0 += centred[p] * k0[p];
      acc1 += centred[p] * k1[p];
    }
    scores[c] = tg_requant(acc0, op->score_m, op->score_s, op->score_zp);
    scores[next] = tg_requant(acc1, op->score_m, op->score_s, op->score_zp);
    max = scores[c] > max ? scores[c] : max;
    max = scores[next] > max ? scores[next] : max;
  }
  return max;
}

/* Weights to whole steps; returns what their sum counts as. */
static uint32_t in_steps(const op_t *op, uint16_t *weights, int32_t count, uint32_t total) {
  const int32_t z = __builtin_clz(total), up = op->up, shift = 39 - z;
  const uint32_t factor =
      (tg_reciprocal(total, z) * (uint32_t)op->total + (UINT32_C(1) << (up + 7))) >> (up + 8);
  const uint64_t half = UINT64_C(1) << (shift - 1);
  for (int32_t c = 0; c < count; c++) {
    const uint32_t n = (uint32_t)(((uint64_t)weights[c] * factor + half) >> shift);
    weights[c] = (uint16_t)((n < (uint32_t)op->most ? n : (uint32_t)op->most) << up);
  }
  return (uint32_t)op->total;
}

/* y[p] = normalised sum of weights[c] (v - zv). */
static void context_row(const op_t *op, const uint16_t *weights, const int8_t *v,
                        const uint16_t *seen, int32_t count, int32_t reciprocal, int8_t *y) {
  const int32_t dim = op->dim, stride = op->heads * dim;
  int32_t start = 0;
  for (int32_t c = 0; c < count; c++)
    start -= weights[c] * op->v_zp;
  int32_t p = 0;
  for (; p + 4 <= dim; p += 4) {
    int32_t acc0 = start, acc1 = start, acc2 = start, acc3 = start;
    for (int32_t c = 0; c < count; c++) {
      const int8_t *at = v + (ptrdiff_t)seen[c] * stride + p;
      const int32_t e = weights[c];
      acc0 += e * at[0];
      acc1 += e * at[1];
      acc2 += e * at[2];
      acc3 += e * at[3];
    }
    y[p] = tg_normalise(acc0, reciprocal, op->context_offset, op->context_s);
    y[p + 1] = tg_normalise(acc1, reciprocal, op->context_offset, op->context_s);
    y[p + 2] = tg_normalise(acc2, reciprocal, op->context_offset, op->context_s);
    y[p + 3] = tg_normalise(acc3, reciprocal, op->context_offset, op->context_s);
  }
  for (; p < dim; p++) {
    int32_t acc = start;
    for (int32_t c = 0; c < count; c++)
      acc += weights[c] * v[(ptrdiff_t)seen[c] * stride + p];
    y[p] = tg_normalise(acc, reciprocal, op->context_offset, op->context_s);
  }
}

void tg_dot_product_attention_s8(const tg_dot_product_attention_t *op, const int8_t *q,
                                 const int8_t *k, const int8_t *v, int32_t first, int32_t last,
                                 int32_t keys, int8_t *y, void *scratch) {
  const int32_t dim = op->dim, width = op->heads * dim;
  int16_t *centred = scratch;
  uint16_t *weights = (uint16_t *)(centred + dim), *seen = weights + keys;
  int8_t *scores = (int8_t *)(seen + keys);
  int32_t count = 0;
  for (int32_t i = first; i < last; i++) {
    if (i == first || op->mask_stride)
      count = list_keys(op->mask ? op->mask + (ptrdiff_t)i * op->mask_stride : NULL, keys, seen);
    for (int32_t h = 0; h < op->heads; h++) {
      const ptrdiff_t at = h * dim;
      const int8_t *row = q + (ptrdiff_t)i * width + at;
      const int32_t max = score_row(op, row, k + at, seen, count, centred, scores);
      uint32_t total = 0;
      for (int32_t c = 0; c < count; c++) {
        weights[c] = op->exp_table[max - scores[c]];
        total += weights[c];
      }
      if (op->total)
        total = in_steps(op, weights, count, total);
      context_row(op, weights, v + at, seen, count,
                  tg_row_reciprocal(total, op->context_mult, op->context_frac, op->context_s),
                  y + (ptrdiff_t)i * width + at);
    }
  }
}

size_t tg_dot_product_attention_scratch(const tg_dot_product_attention_t *op, int32_t keys) {
  return (size_t)tg_round_up(2 * op->dim + 5 * keys, 4);
}
