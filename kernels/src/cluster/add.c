/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/add.h"
#include "cluster/share.h"

void tg_cluster_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count,
                       int8_t *y) {
  const tg_add_t near = *op;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(count, core, cores), to = tg_share(count, core + 1, cores);
  tg_add_s8(&near, a + from, b + from, to - from, y + from);
  tg_team_barrier();
}
