/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_LUT_H
#define TINYGEN_LUT_H

#include "tinygen/types.h"

TG_BEGIN

/* y = table[x + 128]; y may be x. */
void tg_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y);

/* On a cluster: every core of a team calls it, see tinygen/cluster.h. */
void tg_cluster_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y, void *work);

TG_END

#endif
