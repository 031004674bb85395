/* SPDX-License-Identifier: Apache-2.0 */
/* Three passes over a row: its maximum, the sum of its weights, its results. Weights are looked up
 * again rather than kept: no scratch, and a table is as quick as a buffer. */
#include "tinygen/softmax.h"
#include "common/arith.h"

static inline int sees(const uint8_t *mask, int32_t t) {
  return !mask || (mask[t >> 3] >> (t & 7) & 1);
}

void tg_softmax_s8(const tg_softmax_t *op, const int8_t *x, int32_t first, int32_t last,
                   int8_t *y) {
  const int32_t length = op->length, inner = op->inner;
  for (int32_t r = first; r < last; r++) {
    const ptrdiff_t at = (ptrdiff_t)(r / inner) * length * inner + r % inner;
    const int8_t *row = x + at;
    const uint8_t *mask =
        op->mask ? op->mask + (ptrdiff_t)(r % op->mask_rows) * op->mask_stride : NULL;
    int32_t max = -128;
    for (int32_t t = 0; t < length; t++)
      if (sees(mask, t) && row[(ptrdiff_t)t * inner] > max)
        max = row[(ptrdiff_t)t * inner];
    uint32_t total = 0;
    for (int32_t t = 0; t < length; t++)
      if (sees(mask, t))
        total += op->exp_table[max - row[(ptrdiff_t)t * inner]];
    const int32_t reciprocal = tg_row_reciprocal(total, op->mult, op->frac, op->s);
    for (int32_t t = 0; t < length; t++) {
      const ptrdiff_t i = (ptrdiff_t)t * inner;
      const int32_t e = sees(mask, t) ? op->exp_table[max - row[i]] : 0;
      y[at + i] = tg_normalise(e, reciprocal, op->offset, op->s);
    }
  }
}
