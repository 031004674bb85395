/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_DMA_H
#define TINYGEN_DMA_H

#include "tinygen/types.h"

#ifdef TG_PMSIS
#include "pmsis.h"
#endif

TG_BEGIN

/* Copies between the far memory (L2) and the near one (L1) that run beside the cores.
 * runtime/dma_pulp.c is for PMSIS; runtime/dma_host.c poisons the destination at start and copies
 * at wait, so that a missing wait shows. */
#ifdef TG_PMSIS
typedef pi_cl_dma_cmd_t tg_dma_t;
#else
typedef struct {
  uint8_t *to;
  const uint8_t *from;
  size_t size, row, to_step, from_step;
} tg_dma_t;
#endif

/* Any core may start a copy; the same core waits for it, once, before it starts another with the
 * same job. Until then nobody touches the destination or writes to the source. size > 0. */
void tg_dma_load(tg_dma_t *job, void *near, const void *far, size_t size);
void tg_dma_store(tg_dma_t *job, void *far, const void *near, size_t size);

/* Rows of `row` bytes, in the far memory `step` bytes apart, in the near one without gaps; size is
 * what all rows have together. */
void tg_dma_load_2d(tg_dma_t *job, void *near, const void *far, size_t size, size_t row,
                    size_t step);
void tg_dma_store_2d(tg_dma_t *job, void *far, const void *near, size_t size, size_t row,
                     size_t step);

void tg_dma_wait(tg_dma_t *job);

TG_END

#endif
