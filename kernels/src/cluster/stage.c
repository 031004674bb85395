/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/stage.h"

#include "tinygen/team.h"

void tg_cluster_stage(tg_l3_t *job, void *far, uint32_t at, size_t size) {
  if (tg_team_core() == 0)
    tg_l3_load(job, far, at, size);
}

void tg_cluster_staged(tg_l3_t *job) {
  if (tg_team_core() == 0)
    tg_l3_wait(job);
  tg_team_barrier();
}
