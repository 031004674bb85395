/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose weights are rounded down to few levels. */
#include "cluster/attention_projected.h"

void tg_cluster_attention_heads_levels_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                          int8_t *context, int8_t *y, int32_t tiles, int ahead,
                                          void *work) {
  heads_to_cores(op, x, tokens, context, y, tiles, ahead, work, tg_attend_rows_levels);
}

void tg_cluster_attention_rows_levels_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                         int8_t *context, int8_t *y, int32_t tiles, int32_t teams,
                                         void *work) {
  rows_to_cores(op, x, tokens, context, y, tiles, teams, work, tg_attend_rows_levels);
}
