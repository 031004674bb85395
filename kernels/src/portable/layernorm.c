/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/layernorm.h"
#include "common/arith.h"

void tg_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                     int8_t *y, int32_t y_stride) {
  const int32_t features = op->features;
  for (int32_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    int32_t sum = 0;
    uint32_t squares = 0;
    for (int32_t e = 0; e < features; e++) {
      sum += x[e];
      squares += (uint32_t)(x[e] * x[e]);
    }
    /* E sum(x^2) - sum(x)^2 >= 0 (Cauchy-Schwarz) and eps >= 1: a constant row gives eps. */
    const uint64_t variance =
        (uint64_t)features * squares - (uint64_t)((int64_t)sum * sum) + (uint64_t)op->eps;
    const int32_t e4 = (tg_bit_length64(variance) + 1) / 2 - 16;
    const uint32_t d = (uint32_t)(e4 >= 0 ? variance >> (2 * e4) : variance << (-2 * e4));
    const int32_t r = (int32_t)tg_inverse_sqrt(d);
    const int32_t shift = 31 + e4 - op->frac;
    const int64_t half = (int64_t)1 << (shift - 1);
    for (int32_t e = 0; e < features; e++) {
      const int32_t n = features * x[e] - sum;
      const int32_t t = (int32_t)(((int64_t)n * r + half) >> shift); /* 16 bits */
      y[e] = tg_clamp8((t * op->gamma[e] + op->beta[e]) >> op->s);
    }
  }
}
