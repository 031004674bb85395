/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arith.h"
#include "tinygen/layernorm.h"

/* min(most, floor(x / step)), most <= 255: eight steps without a division. */
static uint32_t quotient(uint64_t x, uint64_t step, uint32_t most) {
  uint32_t n = 0;
  for (uint32_t bit = 128; bit; bit >>= 1)
    if ((n | bit) * step <= x)
      n |= bit;
  return n < most ? n : most;
}

void tg_layernorm_steps_s8(const tg_layernorm_steps_t *op, const int8_t *x, int32_t rows,
                           int32_t x_stride, int8_t *y, int32_t y_stride) {
  const tg_layernorm_t *norm = &op->norm;
  const int32_t features = norm->features;
  for (int32_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    int32_t sum = 0;
    uint32_t squares = 0;
    for (int32_t e = 0; e < features; e++) {
      sum += x[e];
      squares += (uint32_t)(x[e] * x[e]);
    }
    const uint64_t exact = (uint64_t)features * squares - (uint64_t)((int64_t)sum * sum);
    const uint32_t steps = quotient((exact << 8) + (op->step >> 1), op->step, (uint32_t)op->most);
    const uint64_t variance = (steps * op->step >> 8) + (uint64_t)norm->eps;
    const int32_t e4 = (tg_bit_length64(variance) + 1) / 2 - 16;
    const uint32_t d = (uint32_t)(e4 >= 0 ? variance >> (2 * e4) : variance << (-2 * e4));
    const int32_t r = (int32_t)tg_inverse_sqrt(d);
    const int32_t shift = 31 + e4 - norm->frac;
    const int64_t half = (int64_t)1 << (shift - 1);
    for (int32_t e = 0; e < features; e++) {
      const int32_t n = features * x[e] - sum;
      /* Where the variance was rounded down to next to nothing, n r is large. */
      const int64_t wide = ((int64_t)n * r + half) >> shift;
      const int32_t t = (int32_t)(wide < INT16_MIN   ? INT16_MIN
                                  : wide > INT16_MAX ? INT16_MAX
                                                     : wide);
      y[e] = tg_clamp8((t * norm->gamma[e] + norm->beta[e]) >> norm->s);
    }
  }
}
