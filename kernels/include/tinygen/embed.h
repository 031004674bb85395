/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_EMBED_H
#define TINYGEN_EMBED_H

#include "tinygen/types.h"

TG_BEGIN

/* Row min(x + 128, count - 1) of table [count][width] for each of so many token ids, which are
 * stored less 128: y [rows][width]. */
void tg_embed_s8(const int8_t *table, int32_t count, int32_t width, const int8_t *x, int32_t rows,
                 int8_t *y);

/* On a cluster: every core of a team calls it, see tinygen/cluster.h. */
/* Rows to cores; the table is read where it is, far. */
void tg_cluster_embed_s8(const int8_t *table, int32_t count, int32_t width, const int8_t *x,
                         int32_t rows, int8_t *y);

TG_END

#endif
