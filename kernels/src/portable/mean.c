/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/mean.h"
#include "common/arith.h"

void tg_mean_s8(const tg_mean_t *op, const int8_t *x, int32_t rows, int32_t features,
                int32_t x_stride, int8_t *y) {
  for (int32_t e = 0; e < features; e++) {
    int32_t sum = op->bias;
    for (int32_t i = 0; i < rows; i++)
      sum += x[(ptrdiff_t)i * x_stride + e];
    y[e] = tg_requant(sum, op->m, op->s, op->zp);
  }
}
