/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/dma.h"

#include <string.h>

enum { POISON = 0xa5 };

/* The destination is unusable from start to wait; only wait reads the source. */
static void begin(tg_dma_t *job, void *to, size_t to_step, const void *from, size_t from_step,
                  size_t size, size_t row) {
  *job = (tg_dma_t){to, from, size, row, to_step, from_step};
  for (size_t at = 0, i = 0; at < size; at += row, i++)
    memset(job->to + i * to_step, POISON, size - at < row ? size - at : row);
}

void tg_dma_load(tg_dma_t *job, void *near, const void *far, size_t size) {
  begin(job, near, size, far, size, size, size);
}

void tg_dma_store(tg_dma_t *job, void *far, const void *near, size_t size) {
  begin(job, far, size, near, size, size, size);
}

void tg_dma_load_2d(tg_dma_t *job, void *near, const void *far, size_t size, size_t row,
                    size_t step) {
  begin(job, near, row, far, step, size, row);
}

void tg_dma_store_2d(tg_dma_t *job, void *far, const void *near, size_t size, size_t row,
                     size_t step) {
  begin(job, far, step, near, row, size, row);
}

void tg_dma_wait(tg_dma_t *job) {
  for (size_t at = 0, i = 0; at < job->size; at += job->row, i++)
    memcpy(job->to + i * job->to_step, job->from + i * job->from_step,
           job->size - at < job->row ? job->size - at : job->row);
  job->size = 0;
}
