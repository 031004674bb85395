/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/embed.h"
#include "cluster/share.h"

void tg_cluster_embed_s8(const int8_t *table, int32_t count, int32_t width, const int8_t *x,
                         int32_t rows, int8_t *y) {
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(rows, core, cores), to = tg_share(rows, core + 1, cores);
  tg_embed_s8(table, count, width, x + from, to - from, y + (ptrdiff_t)from * width);
  tg_team_barrier();
}
