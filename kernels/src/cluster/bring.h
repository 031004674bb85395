/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_CLUSTER_BRING_H
#define TINYGEN_CLUSTER_BRING_H

#include "cluster/share.h"
#include "tinygen/layernorm.h"

/* The parameters of a LayerNorm with their arrays in working memory; all cores wait for them. */
static inline tg_layernorm_t tg_bring_layernorm(const tg_layernorm_t *op, void *work) {
  tg_layernorm_t near = *op;
  uint8_t *rest = work;
  int32_t *beta = tg_take(&rest, 4u * (size_t)op->features);
  int16_t *gamma = tg_take(&rest, 2u * (size_t)op->features);
  if (tg_team_core() == 0) {
    tg_dma_t jobs[2];
    tg_dma_load(&jobs[0], beta, op->beta, 4u * (size_t)op->features);
    tg_dma_load(&jobs[1], gamma, op->gamma, 2u * (size_t)op->features);
    tg_dma_wait(&jobs[0]);
    tg_dma_wait(&jobs[1]);
  }
  tg_team_barrier();
  near.beta = beta;
  near.gamma = gamma;
  return near;
}

#endif
