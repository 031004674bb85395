/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/weighted.h"
#include "common/arith.h"

typedef struct {
  int32_t max;
  uint32_t total;
} peak_t;

static inline int sees(const uint8_t *mask, int32_t t) {
  return !mask || (mask[t >> 3] >> (t & 7) & 1);
}

static inline const uint8_t *mask_of(const tg_weighted_t *op, int32_t row) {
  return op->mask ? op->mask + (ptrdiff_t)(row % op->mask_rows) * op->mask_stride : NULL;
}

/* The maximum of so many rows together, and the sum of their weights. */
static peak_t peak_of(const tg_weighted_t *op, const int8_t *x, int32_t first, int32_t rows) {
  peak_t peak = {-128, 0};
  for (int32_t r = first; r < first + rows; r++) {
    const uint8_t *mask = mask_of(op, r);
    const int8_t *row = x + (ptrdiff_t)r * op->length;
    for (int32_t t = 0; t < op->length; t++)
      if (sees(mask, t) && row[t] > peak.max)
        peak.max = row[t];
  }
  for (int32_t r = first; r < first + rows; r++) {
    const uint8_t *mask = mask_of(op, r);
    const int8_t *row = x + (ptrdiff_t)r * op->length;
    for (int32_t t = 0; t < op->length; t++)
      if (sees(mask, t))
        peak.total += op->exp_table[peak.max - row[t]];
  }
  return peak;
}

/* weights[t] = exp_table[max - x[t]], 0 where the row does not see t; returns their sum. */
static uint32_t weigh(const tg_weighted_t *op, const int8_t *x, const uint8_t *mask, int32_t max,
                      uint16_t *weights) {
  uint32_t sum = 0;
  for (int32_t t = 0; t < op->length; t++) {
    weights[t] = sees(mask, t) ? op->exp_table[max - x[t]] : 0;
    sum += weights[t];
  }
  return sum;
}

void tg_weighted_s8(const tg_weighted_t *op, const int8_t *x, const int8_t *v, int32_t first,
                    int32_t last, int8_t *y, void *scratch) {
  const int32_t length = op->length, cols = op->cols, group = op->group ? op->group : 1;
  uint16_t *weights = scratch;
  peak_t peak = {0, 0};
  for (int32_t r = first; r < last; r++) {
    if (r == first || r % group == 0)
      peak = peak_of(op, x, r / group * group, group);
    const uint32_t sum = weigh(op, x + (ptrdiff_t)r * length, mask_of(op, r), peak.max, weights);
    const int32_t reciprocal = tg_row_reciprocal(peak.total, op->mult, op->frac, op->s);
    const int32_t batch = r / op->rows;
    const int32_t start = -op->v_zp * (int32_t)sum;
    const int8_t *column = v + (ptrdiff_t)(batch / op->inner) * op->v_outer +
                           (ptrdiff_t)(batch % op->inner) * op->v_inner;
    int8_t *out = y + (ptrdiff_t)r * cols;
    for (int32_t j = 0; j < cols; j += 2, column += 2 * (ptrdiff_t)op->v_col) {
      /* At an odd end the second column repeats the first. */
      const int pair = j + 1 < cols;
      const int8_t *v0 = column, *v1 = pair ? column + op->v_col : column;
      int32_t acc0 = start, acc1 = start;
      for (int32_t t = 0; t < length; t++, v0 += op->v_row, v1 += op->v_row) {
        acc0 += weights[t] * *v0;
        acc1 += weights[t] * *v1;
      }
      out[j] = tg_normalise(acc0, reciprocal, op->offset, op->s);
      if (pair)
        out[j + 1] = tg_normalise(acc1, reciprocal, op->offset, op->s);
    }
  }
}

size_t tg_weighted_s8_scratch(const tg_weighted_t *op) {
  return (size_t)tg_round_up(2 * op->length, 4);
}
