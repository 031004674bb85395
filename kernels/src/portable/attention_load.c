/* SPDX-License-Identifier: Apache-2.0 */
/* x itself as keys [S][P] and as values [P][S], one head for all. */
#include "tinygen/attention.h"

void tg_attention_load_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *k) {
  int8_t *to = k;
  for (int32_t i = 0; i < tokens; i++)
    for (int32_t p = 0; p < op->dim; p++)
      *to++ = x[(ptrdiff_t)i * x_stride + p];
}

void tg_attention_load_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *v) {
  int8_t *to = v;
  for (int32_t p = 0; p < op->value_dim; p++)
    for (int32_t i = 0; i < tokens; i++)
      *to++ = x[(ptrdiff_t)i * x_stride + p];
}
