/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/share.h"
#include "tinygen/cluster.h"

/* Output rows to cores; where there is one row only, its columns. */
void tg_cluster_conv_s8(const tg_conv_t *op, const int8_t *x, int8_t *y, void *work) {
  tg_conv_t near = *op;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t n = op->linear.n / op->groups,
                k = op->channels / op->groups * op->kernel_h * op->kernel_w;
  const size_t weights = (size_t)op->groups * tg_linear_s8_weights(n, k);
  const size_t scratch = tg_align8(tg_conv_s8_scratch(op));
  uint8_t *rest = work;
  void *w = tg_take(&rest, weights);
  int8_t *table = tg_take(&rest, op->linear.table ? 256 : 0);
  if (core == 0) {
    tg_dma_t jobs[2];
    tg_dma_load(&jobs[0], w, op->linear.w, weights);
    if (op->linear.table) {
      tg_dma_load(&jobs[1], table, op->linear.table, 256);
      tg_dma_wait(&jobs[1]);
    }
    tg_dma_wait(&jobs[0]);
  }
  tg_team_barrier();
  near.linear.w = w;
  if (op->linear.table)
    near.linear.table = table;
  const int32_t whole = op->out_h > 1 ? op->out_h : op->out_w;
  const int32_t from = tg_share(whole, core, cores), to = tg_share(whole, core + 1, cores);
  ptrdiff_t tokens = from;
  if (op->out_h > 1) {
    near.out_h = to - from;
    near.pad_top -= from * op->stride_h;
    tokens *= op->out_w;
  } else {
    near.out_w = to - from;
    near.pad_left -= from * op->stride_w;
  }
  if (to > from)
    tg_conv_s8(&near, x, y + tokens * op->linear.n, op->linear.n, rest + (size_t)core * scratch);
  tg_team_barrier();
}
