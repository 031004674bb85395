/* SPDX-License-Identifier: Apache-2.0 */
/* Two rows at a time: their elements less the zero point stand in scratch, so that b's zero point
 * is one term a row, b_zp sum(a - a_zp), and nothing is left to do for a column of b. */
#include "tinygen/matmul.h"
#include "common/arith.h"

/* to[k] = a - a_zp; returns what both zero points give: -b_zp sum(a - a_zp). */
static int32_t centre(const tg_matmul_t *op, const int8_t *a, int16_t *to) {
  int32_t sum = 0;
  for (int32_t k = 0; k < op->k; k++, a += op->a_k) {
    to[k] = (int16_t)(*a - op->a_zp);
    sum += to[k];
  }
  return -op->b_zp * sum;
}

static const int8_t *row_of(const tg_matmul_t *op, const int8_t *a, int32_t batch, int32_t row) {
  return a + (ptrdiff_t)(batch / op->inner) * op->a_outer +
         (ptrdiff_t)(batch % op->inner) * op->a_inner + (ptrdiff_t)row * op->a_row;
}

void tg_matmul_s8(const tg_matmul_t *op, const int8_t *a, const int8_t *b, int32_t first,
                  int32_t last, int8_t *y, void *scratch) {
  const int32_t k = op->k, cols = op->cols, step = op->b_k;
  int16_t *a0 = scratch, *a1 = a0 + k;
  for (int32_t r = first; r < last;) {
    const int32_t batch = r / op->rows, row = r % op->rows;
    /* At an odd end the second row repeats the first, and its results are dropped. */
    const int two = row + 1 < op->rows && r + 1 < last;
    const int32_t start0 = centre(op, row_of(op, a, batch, row), a0);
    const int32_t start1 = centre(op, row_of(op, a, batch, row + two), a1);
    const int8_t *column = b + (ptrdiff_t)(batch / op->inner) * op->b_outer +
                           (ptrdiff_t)(batch % op->inner) * op->b_inner;
    int8_t *y0 = y + (ptrdiff_t)r * cols, *y1 = y0 + cols;
    for (int32_t j = 0; j < cols; j += 2) {
      const int pair = j + 1 < cols;
      const int8_t *b0 = column, *b1 = pair ? column + op->b_col : column;
      int32_t acc00 = start0, acc01 = start0, acc10 = start1, acc11 = start1;
      for (int32_t i = 0; i < k; i++, b0 += step, b1 += step) {
        acc00 += a0[i] * *b0;
        acc01 += a0[i] * *b1;
        acc10 += a1[i] * *b0;
        acc11 += a1[i] * *b1;
      }
      y0[j] = tg_requant(acc00, op->m, op->s, op->zp);
      if (pair)
        y0[j + 1] = tg_requant(acc01, op->m, op->s, op->zp);
      if (two)
        y1[j] = tg_requant(acc10, op->m, op->s, op->zp);
      if (two && pair)
        y1[j + 1] = tg_requant(acc11, op->m, op->s, op->zp);
      column += 2 * (ptrdiff_t)op->b_col;
    }
    r += 1 + two;
  }
}

size_t tg_matmul_s8_scratch(const tg_matmul_t *op) {
  return (size_t)(4 * op->k);
}
