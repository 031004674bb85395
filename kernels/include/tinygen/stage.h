/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_STAGE_H
#define TINYGEN_STAGE_H

#include "tinygen/l3.h"

TG_BEGIN

/* The constants of one layer, from L3 to their place in L2's staging buffer; every core of the team
 * calls both. The transfer runs beside the layers between them. */
void tg_cluster_stage(tg_l3_t *job, void *far, uint32_t at, size_t size);

/* All cores go on when the constants are there. */
void tg_cluster_staged(tg_l3_t *job);

TG_END

#endif
