/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/layernorm.h"
#include "armv7em/dsp.h"
#include "common/arith.h"
#include "common/newton.h"

/* Of x >= 1; CLZ of 0 is 32. */
static inline int32_t leading_zeros(uint64_t x) {
  const int32_t first = tg_clz((uint32_t)(x >> 32));
  return first + (first >> 5) * tg_clz((uint32_t)x);
}

typedef struct {
  int32_t sum;
  uint32_t squares;
} sums_t;

static inline sums_t sums_of(const int8_t *x, int32_t features) {
  const uint32_t ones = 0x10001;
  int32_t sum = 0, squares = 0, e = 0;
  for (; e + 8 <= features; e += 8) {
    const uint32_t w0 = tg_load32(x + e), w1 = tg_load32(x + e + 4);
    const uint32_t even0 = tg_sxtb16(w0), odd0 = tg_sxtb16_odd(w0);
    const uint32_t even1 = tg_sxtb16(w1), odd1 = tg_sxtb16_odd(w1);
    sum = tg_smlad(even0, ones, sum);
    squares = tg_smlad(even0, even0, squares);
    sum = tg_smlad(odd0, ones, sum);
    squares = tg_smlad(odd0, odd0, squares);
    sum = tg_smlad(even1, ones, sum);
    squares = tg_smlad(even1, even1, squares);
    sum = tg_smlad(odd1, ones, sum);
    squares = tg_smlad(odd1, odd1, squares);
  }
  for (; e < features; e++) {
    sum += x[e];
    squares += x[e] * x[e];
  }
  return (sums_t){sum, (uint32_t)squares};
}

/* t = (n r + 2^(k-1)) >> k as the high half of (n << up) * (r << 32 - k + up), up = 17 - k where r
 * would leave 32 bits: a small k means a small variance, and so a small n. n << up fits, because
 * |n| <= sqrt(D E); what it is made of may wrap. For k > 32, n goes down instead of r up; that is
 * two roundings, so those rows take the 64-bit way, and so do rows so long that t may round to
 * 2^15.
 */
void tg_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                     int8_t *y, int32_t y_stride) {
  const int32_t features = op->features, s = op->s;
  for (int32_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    const sums_t sums = sums_of(x, features);
    /* E sum(x^2) - sum(x)^2 >= 0 (Cauchy-Schwarz) and eps >= 1: a constant row gives eps. */
    const uint64_t variance = (uint64_t)(uint32_t)features * sums.squares -
                              (uint64_t)((int64_t)sums.sum * sums.sum) + (uint64_t)op->eps;
    const int32_t zeros = leading_zeros(variance);
    const int32_t e4 = 16 - zeros / 2; /* so that d, the high half, is in [2^30, 2^32) */
    const uint32_t d = (uint32_t)(variance << (zeros & ~1) >> 32);
    const int32_t r = (int32_t)tg_newton_inverse_sqrt(d), shift = 31 + e4 - op->frac;
    const int16_t *gamma = op->gamma;
    const int32_t *beta = op->beta;
    int32_t e = 0;
    if (shift <= 32 && features <= 16384) {
      const int32_t less = 17 - shift, up = less & ~(less >> 31); /* max(0, 17 - shift) */
      const int32_t factor = (int32_t)((uint32_t)features << up);
      const int32_t start = -(int32_t)((uint32_t)sums.sum << up);
      const int32_t scale = (int32_t)((uint32_t)r << (32 - shift - up));
#define ELEMENT(at, product, g)                                                                    \
  do {                                                                                             \
    const int32_t n_ = tg_mla(x[e + (at)], factor, start);                                         \
    const int32_t t_ = tg_smmulr(n_, scale);                                                       \
    y[e + (at)] = (int8_t)tg_ssat8(product(t_, g, beta[e + (at)]) >> s);                           \
  } while (0)
      for (; e + 8 <= features; e += 8) {
        const uint32_t g0 = tg_load32(gamma + e), g1 = tg_load32(gamma + e + 2);
        const uint32_t g2 = tg_load32(gamma + e + 4), g3 = tg_load32(gamma + e + 6);
        ELEMENT(0, tg_smlabb, g0);
        ELEMENT(1, tg_smlabt, g0);
        ELEMENT(2, tg_smlabb, g1);
        ELEMENT(3, tg_smlabt, g1);
        ELEMENT(4, tg_smlabb, g2);
        ELEMENT(5, tg_smlabt, g2);
        ELEMENT(6, tg_smlabb, g3);
        ELEMENT(7, tg_smlabt, g3);
      }
      for (; e < features; e++)
        ELEMENT(0, tg_smlabb, (uint32_t)gamma[e]);
#undef ELEMENT
      continue;
    }
    const int64_t half = (int64_t)1 << (shift - 1);
    for (; e < features; e++) {
      const int32_t n = features * x[e] - sums.sum;
      const int32_t t = (int32_t)(((int64_t)n * r + half) >> shift); /* 16 bits */
      y[e] = tg_clamp8((t * gamma[e] + beta[e]) >> s);
    }
  }
}
