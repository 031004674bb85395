/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_ADD_H
#define TINYGEN_ADD_H

#include "tinygen/types.h"

TG_BEGIN

/* y = clamp8((a ma + b mb + c) >> s), 0 <= ma, mb < 2^21, c with rounding and zero points;
 * s <= 22, and the sum stays within int32. */
typedef struct {
  int32_t ma, mb, c, s;
} tg_add_t;

/* y may be a or b. */
void tg_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count, int8_t *y);

/* A constant b in 16 bits; mb < 2^14. y may be a. */
void tg_add_wide_s8(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t count,
                    int8_t *y);

/* On a cluster: every core of a team calls it, see tinygen/cluster.h. */
void tg_cluster_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count,
                       int8_t *y);

/* b: near. */
void tg_cluster_add_wide_s8(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t count,
                            int8_t *y);

TG_END

#endif
