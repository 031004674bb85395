/* SPDX-License-Identifier: Apache-2.0 */
#include "armv7em/attend.h"

void tg_attention_attend_s8(const tg_attention_t *op, const void *q, const void *k, const void *v,
                            int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride,
                            void *scratch) {
  tg_attend(op, q, k, v, rows, tokens, y, y_stride, scratch, 0);
}

size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  const int32_t group = tg_group_rows(rows);
  (void)op;
  return (size_t)tg_round_up(6 * group * tg_halves(tokens), 4);
}
