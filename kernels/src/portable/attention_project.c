/* SPDX-License-Identifier: Apache-2.0 */
/* Projections write q and k as [H][S][P], v as [H][P][S]: no transpose is left to do. */
#include "common/rowmajor.h"
#include "tinygen/attention.h"

static size_t bytes(int32_t dim, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)dim * (size_t)tokens;
}

size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return bytes(op->dim, heads, tokens);
}

size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return bytes(op->dim, heads, tokens);
}

size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return bytes(op->value_dim, heads, tokens);
}

static void project(int32_t dim, const tg_linear_t *linear, const int8_t *x, int32_t tokens,
                    int32_t x_stride, int32_t head, int32_t heads, int8_t *y, ptrdiff_t y_token,
                    ptrdiff_t y_feature) {
  for (int32_t h = 0; h < heads; h++)
    tg_rowmajor(linear, (head + h) * dim, dim, x, tokens, x_stride, y + (ptrdiff_t)h * dim * tokens,
                y_token, y_feature);
}

void tg_attention_project_q_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *q,
                               void *scratch) {
  (void)scratch;
  project(op->dim, &op->q, x, tokens, x_stride, head, heads, q, op->dim, 1);
}

void tg_attention_project_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *k,
                               void *scratch) {
  (void)scratch;
  project(op->dim, &op->k, x, tokens, x_stride, head, heads, k, op->dim, 1);
}

void tg_attention_project_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *v,
                               void *scratch) {
  (void)scratch;
  project(op->value_dim, &op->v, x, tokens, x_stride, head, heads, v, 1, tokens);
}

size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens) {
  (void)op;
  (void)tokens;
  return 0;
}
