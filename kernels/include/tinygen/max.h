/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_MAX_H
#define TINYGEN_MAX_H

#include "tinygen/types.h"

TG_BEGIN

/* The largest of each window of a plane [height][width][channels]; windows may reach beyond it by
 * the pads, and each covers at least one element. out_w: windows side by side. */
typedef struct {
  int32_t height, width, channels;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t out_w;
} tg_max_t;

/* Windows first..last-1, row by row: y[window][channels]; y points at window 0. */
void tg_max_s8(const tg_max_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

/* On a cluster: every core of a team calls it, see tinygen/cluster.h. */
/* Windows to cores. */
void tg_cluster_max_s8(const tg_max_t *op, const int8_t *x, int32_t windows, int8_t *y);

TG_END

#endif
