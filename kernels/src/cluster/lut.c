/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/lut.h"
#include "cluster/share.h"
#include "tinygen/cluster.h"

void tg_cluster_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y, void *work) {
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(count, core, cores), to = tg_share(count, core + 1, cores);
  tg_cluster_load(work, table, 256);
  tg_lut_s8(work, x + from, to - from, y + from);
  tg_team_barrier();
}
