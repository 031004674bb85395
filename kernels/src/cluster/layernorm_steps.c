/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/bring.h"
#include "tinygen/cluster.h"

void tg_cluster_layernorm_steps_s8(const tg_layernorm_steps_t *op, const int8_t *x, int32_t rows,
                                   int8_t *y, void *work) {
  const tg_layernorm_steps_t near = {tg_bring_layernorm(&op->norm, work), op->step, op->most};
  const int32_t e = near.norm.features, core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(rows, core, cores), to = tg_share(rows, core + 1, cores);
  tg_layernorm_steps_s8(&near, x + (ptrdiff_t)from * e, to - from, e, y + (ptrdiff_t)from * e, e);
  tg_team_barrier();
}
