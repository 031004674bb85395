/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/max.h"
#include "cluster/share.h"

void tg_cluster_max_s8(const tg_max_t *op, const int8_t *x, int32_t windows, int8_t *y) {
  const tg_max_t near = *op;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  tg_max_s8(&near, x, tg_share(windows, core, cores), tg_share(windows, core + 1, cores), y);
  tg_team_barrier();
}
