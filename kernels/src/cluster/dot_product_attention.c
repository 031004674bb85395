/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/share.h"
#include "tinygen/cluster.h"

void tg_cluster_dot_product_attention_s8(const tg_dot_product_attention_t *op, const int8_t *q,
                                         const int8_t *k, const int8_t *v, int32_t rows,
                                         int32_t keys, int8_t *y, void *work) {
  tg_dot_product_attention_t near = *op;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t from = tg_share(rows, core, cores), to = tg_share(rows, core + 1, cores);
  uint8_t *own = (uint8_t *)work + 512;
  own += (size_t)core * tg_align8(tg_dot_product_attention_scratch(op, keys));
  tg_cluster_load(work, op->exp_table, 512);
  near.exp_table = work;
  tg_dot_product_attention_s8(&near, q, k, v, from, to, keys, y, own);
  tg_team_barrier();
}
