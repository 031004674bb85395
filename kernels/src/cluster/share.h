/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster's operators share: fair parts of a whole, and working memory cut into pieces. */
#ifndef TINYGEN_CLUSTER_SHARE_H
#define TINYGEN_CLUSTER_SHARE_H

#include "tinygen/dma.h"
#include "tinygen/team.h"

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
