/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/share.h"
#include "tinygen/cluster.h"

void tg_cluster_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int8_t *y,
                             void *work) {
  tg_layernorm_t near = *op;
  const int32_t e = op->features, core = tg_team_core(), cores = tg_team_cores();
  uint8_t *rest = work;
  int32_t *beta = tg_take(&rest, 4u * (size_t)e);
  int16_t *gamma = tg_take(&rest, 2u * (size_t)e);
  if (core == 0) {
    tg_dma_t jobs[2];
    tg_dma_load(&jobs[0], beta, op->beta, 4u * (size_t)e);
    tg_dma_load(&jobs[1], gamma, op->gamma, 2u * (size_t)e);
    tg_dma_wait(&jobs[0]);
    tg_dma_wait(&jobs[1]);
  }
  tg_team_barrier();
  near.beta = beta;
  near.gamma = gamma;
  const int32_t from = tg_share(rows, core, cores), to = tg_share(rows, core + 1, cores);
  tg_layernorm_s8(&near, x + (ptrdiff_t)from * e, to - from, e, y + (ptrdiff_t)from * e, e);
  tg_team_barrier();
}
