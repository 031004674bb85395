/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/rmsnorm.h"
#include "common/arith.h"

void tg_rmsnorm_s8(const tg_rmsnorm_t *op, const int8_t *x, int32_t first, int32_t last,
                   int8_t *y) {
  const int32_t features = op->features;
  for (int32_t i = first; i < last; i++) {
    const int8_t *row = x + (ptrdiff_t)i * features;
    int8_t *out = y + (ptrdiff_t)i * features;
    uint32_t squares = 0;
    for (int32_t e = 0; e < features; e++) {
      const int32_t centred = row[e] - op->x_zp;
      squares += (uint32_t)(centred * centred);
    }
    const uint64_t power = (uint64_t)features * squares + (uint64_t)op->eps;
    const int32_t e4 = (tg_bit_length64(power) + 1) / 2 - 16;
    const uint32_t d = (uint32_t)(e4 >= 0 ? power >> (2 * e4) : power << (-2 * e4));
    const int32_t r = (int32_t)tg_inverse_sqrt(d), shift = 31 + e4 - op->frac;
    const int64_t half = (int64_t)1 << (shift - 1);
    for (int32_t e = 0; e < features; e++) {
      const int64_t n = (int64_t)features * (row[e] - op->x_zp);
      const int64_t wide = (n * r + half) >> shift;
      const int32_t t = (int32_t)(wide < INT16_MIN   ? INT16_MIN
                                  : wide > INT16_MAX ? INT16_MAX
                                                     : wide);
      out[e] = tg_clamp8((t * op->gamma[e] + op->beta[e]) >> op->s);
    }
  }
}
