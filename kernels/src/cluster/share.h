/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster's operators share: fair parts of a whole, and working memory cut into pieces. */
#ifndef TINYGEN_CLUSTER_SHARE_H
#define TINYGEN_CLUSTER_SHARE_H

#include "tinygen/dma.h"
#include "tinygen/team.h"

/* Weights come to near memory. With TG_WEIGHTS_NEAR, of measurements, they lie there from the start
 * and are read where they are. */
#ifdef TG_WEIGHTS_NEAR
#define TG_WEIGHTS(near, far) ((const uint8_t *)(far))
#define tg_load_weights(job, near, far, size) ((void)(job), (void)(near), (void)(size))
#define tg_wait_weights(job) ((void)(job))
#else
#define TG_WEIGHTS(near, far) (near)
#define tg_load_weights tg_dma_load
#define tg_wait_weights tg_dma_wait
#endif

/* Where part `core` of `count` units begins; parts differ by one unit at most. */
static inline int32_t tg_share(int32_t count, int32_t core, int32_t cores) {
  return count * core / cores;
}

static inline size_t tg_align8(size_t size) {
  return (size + 7) & ~(size_t)7;
}

/* Takes `size` bytes off working memory. */
static inline void *tg_take(uint8_t **work, size_t size) {
  uint8_t *piece = *work;
  *work += tg_align8(size);
  return piece;
}

#endif
