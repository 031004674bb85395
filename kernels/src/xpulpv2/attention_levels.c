/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose weights are rounded down to few levels. */
#include "xpulpv2/attend.h"

void tg_attend_rows_levels(tg_attend_t *a, const tg_attention_t *op, const void *q, const void *k,
                           const void *v, int32_t rows, int8_t *y, int32_t y_stride,
                           void *scratch) {
  const tg_word_t *from = q;
  for (; rows > 0; rows -= 4, from += 4 * a->words, y += 4 * (ptrdiff_t)y_stride)
    attend_four(a, op, from, k, v, rows < 4 ? rows : 4, y, y_stride, scratch, 1);
}

void tg_attention_attend_levels_s8(const tg_attention_t *op, const void *q, const void *k,
                                   const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                   int32_t y_stride, void *scratch) {
  tg_attend_t a;
  tg_attend_prepare(&a, op, tokens);
  tg_attend_rows_levels(&a, op, q, k, v, rows, y, y_stride, scratch);
}
