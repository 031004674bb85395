/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arith.h"
#include "tinygen/layernorm.h"

/* Of x < 2^17. */
static uint32_t whole_root(uint32_t x) {
  uint32_t root = 0;
  for (uint32_t bit = 1 << 8; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= x)
      root |= bit;
  return root;
}

void tg_layernorm_whole_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows,
                           int32_t x_stride, int8_t *y, int32_t y_stride) {
  const int32_t features = op->features;
  for (int32_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    int32_t sum = 0;
    for (int32_t e = 0; e < features; e++)
      sum += x[e];
    const int32_t mean = op->x_zp + (sum - features * op->x_zp) / features; /* towards zero */
    uint32_t squares = 0;
    for (int32_t e = 0; e < features; e++)
      squares += (uint32_t)((x[e] - mean) * (x[e] - mean));
    const uint32_t deviation = whole_root(squares / (uint32_t)features + (uint32_t)op->eps);
    const int32_t bits = 32 - __builtin_clz(deviation);
    const uint32_t quotient = (UINT32_C(1) << (15 + bits)) / deviation;
    const int32_t r = (int32_t)(quotient < 65535 ? quotient : 65535);
    const int32_t shift = 15 + bits - op->frac, half = 1 << (shift - 1);
    for (int32_t e = 0; e < features; e++) {
      const int32_t t = ((x[e] - mean) * r + half) >> shift; /* 16 bits */
      y[e] = tg_clamp8((t * op->gamma[e] + op->beta[e]) >> op->s);
    }
  }
}
