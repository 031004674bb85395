/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/linear.h"
#include "common/rowmajor.h"

void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch) {
  (void)scratch;
  tg_rowmajor(op, 0, op->n, x, rows, x_stride, y, y_stride, 1);
}

size_t tg_linear_s8_scratch(const tg_linear_t *op, int32_t rows) {
  (void)op;
  (void)rows;
  return 0;
}

size_t tg_linear_s8_weights(int32_t n, int32_t k) {
  return (size_t)n * (size_t)k;
}
