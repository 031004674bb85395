/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_RMSNORM_H
#define TINYGEN_RMSNORM_H

#include "tinygen/types.h"

TG_BEGIN

/* Each row of x over its root mean square: fields as in tg_layernorm_t, x_zp the zero point of x.
 * features <= 66051. The bits: tinygen.operators, `RmsNorm`. */
typedef struct {
  const int16_t *gamma;
  const int32_t *beta;
  int64_t eps;
  int32_t features, frac, s, x_zp;
} tg_rmsnorm_t;

/* Rows [first, last) of features elements; x and y point at row 0, and may be the same. */
void tg_rmsnorm_s8(const tg_rmsnorm_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

TG_END

#endif
