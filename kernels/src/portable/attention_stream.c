/* SPDX-License-Identifier: Apache-2.0 */
/* Output projection head by head: int32 sums [rows][n] instead of a context of all heads.
 * Weights are plain rows, [heads][n][dim]. */
#include "common/arith.h"
#include "tinygen/attention.h"

void tg_attention_accumulate_s8(const tg_attention_t *op, const int8_t *context, int32_t rows,
                                int32_t context_stride, int32_t head, int32_t *acc, void *scratch) {
  (void)scratch;
  const int32_t dim = op->value_dim, n = op->o.n;
  const int8_t *head_w = (const int8_t *)op->o.w + (ptrdiff_t)head * n * dim;
  for (int32_t i = 0; i < rows; i += 2) {
    /* At an odd end the second row repeats the first, and its result is dropped. */
    const int two = rows - i > 1;
    const int8_t *x0 = context + (ptrdiff_t)i * context_stride,
                 *x1 = two ? x0 + context_stride : x0;
    int32_t *a0 = acc + (ptrdiff_t)i * n, *a1 = two ? a0 + n : a0;
    const int8_t *w = head_w;
    for (int32_t j = 0; j < n; j++, w += dim) {
      int32_t sum0 = head == 0 ? op->o.bias[j] : a0[j];
      int32_t sum1 = head == 0 ? op->o.bias[j] : a1[j];
      for (int32_t p = 0; p < dim; p++) {
        sum0 += x0[p] * w[p];
        sum1 += x1[p] * w[p];
      }
      a0[j] = sum0;
      a1[j] = sum1;
    }
  }
}

size_t tg_attention_accumulate_scratch(const tg_attention_t *op, int32_t rows) {
  (void)op;
  (void)rows;
  return 0;
}

void tg_attention_requantise_s8(const tg_attention_t *op, const int32_t *acc, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  const tg_linear_t *o = &op->o;
  for (int32_t i = 0; i < rows; i++, acc += o->n, y += y_stride)
    for (int32_t j = 0; j < o->n; j++) {
      const int8_t v = tg_requant(acc[j], o->m[j], o->s, o->zp);
      y[j] = (int8_t)(o->table ? o->table[v + 128] : v);
    }
}
