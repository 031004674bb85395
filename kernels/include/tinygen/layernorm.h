/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_LAYERNORM_H
#define TINYGEN_LAYERNORM_H

#include "tinygen/types.h"

TG_BEGIN

/* n = E x - sum(x);  D = E sum(x^2) - sum(x)^2 + eps;  d = D 4^-e in [2^30, 2^32)
 * r = min(65535, isqrt(2^62 / d));  t = (n r + 2^(k-1)) >> k, k = 31 + e - frac
 * y = clamp8((t gamma + beta) >> s)
 * gamma, beta [features]; |gamma| < 2^15, |beta| <= 2^30 (rounding and zero point included). */
typedef struct {
  const int16_t *gamma;
  const int32_t *beta;
  int64_t eps;
  int32_t features;
  int32_t frac, s;
  int32_t x_zp; /* of tg_layernorm_whole_s8 only */
} tg_layernorm_t;

/* x [rows][features] -> y [rows][features]; in place allowed when the strides are equal. */
void tg_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                     int8_t *y, int32_t y_stride);

/* The same in whole steps, as QuantLib's iLayerNorm: mean = sum(x - x_zp) / E towards zero;
 * n = x - x_zp - mean;  v = isqrt(sum(n^2) / E + eps) of b bits, all rounded down, eps < 2^16
 * r = min(65535, 2^(15+b) / v);  t = (n r + 2^(k-1)) >> k, k = 15 + b - frac; y as above. */
void tg_layernorm_whole_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows,
                           int32_t x_stride, int8_t *y, int32_t y_stride);

/* As tg_layernorm_s8 with the variance in steps, for models that keep it in 8 bits:
 * D = (min(most, (256 D' + step / 2) / step) * step >> 8) + eps, D' without eps;
 * t saturates to 16 bits. 1 <= step < 2^54, 1 <= most <= 255. */
typedef struct {
  tg_layernorm_t norm;
  uint64_t step;
  int32_t most;
} tg_layernorm_steps_t;

void tg_layernorm_steps_s8(const tg_layernorm_steps_t *op, const int8_t *x, int32_t rows,
                           int32_t x_stride, int8_t *y, int32_t y_stride);

TG_END

#endif
