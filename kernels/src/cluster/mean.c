/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/mean.h"
#include "cluster/share.h"

void tg_cluster_mean_s8(const tg_mean_t *op, const int8_t *x, int32_t rows, int32_t features,
                        int8_t *y) {
  const tg_mean_t near = *op;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(features, core, cores), to = tg_share(features, core + 1, cores);
  if (to > from)
    tg_mean_s8(&near, x + from, rows, to - from, features, y + from);
  tg_team_barrier();
}
