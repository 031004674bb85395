/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_MEAN_H
#define TINYGEN_MEAN_H

#include "tinygen/types.h"

TG_BEGIN

/* y[e] = clamp8(zp + ((sum_rows x[.][e] + bias) * m + 2^(s-1) >> s)) */
typedef struct {
  int32_t bias, m, s, zp;
} tg_mean_t;

void tg_mean_s8(const tg_mean_t *op, const int8_t *x, int32_t rows, int32_t features,
                int32_t x_stride, int8_t *y);

/* On a cluster: every core of a team calls it, see tinygen/cluster.h. */
/* Features to cores. */
void tg_cluster_mean_s8(const tg_mean_t *op, const int8_t *x, int32_t rows, int32_t features,
                        int8_t *y);

TG_END

#endif
