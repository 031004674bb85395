/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/share.h"
#include "tinygen/cluster.h"

void tg_cluster_load(void *near, const void *far, size_t size) {
  if (tg_team_core() == 0) {
    tg_dma_t job;
    tg_dma_load(&job, near, far, size);
    tg_dma_wait(&job);
  }
  tg_team_barrier();
}

void tg_cluster_store(void *far, const void *near, size_t size) {
  if (tg_team_core() == 0) {
    tg_dma_t job;
    tg_dma_store(&job, far, near, size);
    tg_dma_wait(&job);
  }
  tg_team_barrier();
}
