/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose weights are rounded down to few levels. */
#include "armv7em/attend.h"

void tg_attention_attend_levels_s8(const tg_attention_t *op, const void *q, const void *k,
                                   const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                   int32_t y_stride, void *scratch) {
  tg_attend(op, q, k, v, rows, tokens, y, y_stride, scratch, 1);
}
