/* SPDX-License-Identifier: Apache-2.0 */
/* q is [H][S][P]. k and v are written as the columns that attend multiplies with (tile.h): k with
 * two tokens interleaved along P, v with two features interleaved along S. Padding is never
 * written: attend multiplies it with 0, or drops the result. */
#include "armv7em/product.h"
#include "tinygen/attention.h"

typedef enum { ROWS, KEYS, VALUES } order_t;

size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tokens * (size_t)op->dim;
}

size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)(heads * tg_round_up(tokens, 2) * tg_round_up(op->dim, 4));
}

size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)(heads * tg_round_up(op->dim, 2) * tg_round_up(tokens, 4));
}

/* Where a token's feature 0 stands within its head. */
static ptrdiff_t token_offset(order_t order, int32_t dim, int32_t token) {
  switch (order) {
  case KEYS:
    return token / 2 * 2 * tg_round_up(dim, 4) + token % 2;
  case VALUES:
    return token / 4 * 8 + token % 2 * 4 + token / 2 % 2 * 2;
  case ROWS:
  default:
    return (ptrdiff_t)token * dim;
  }
}

static void project(const tg_attention_t *op, const tg_linear_t *linear, const int8_t *x,
                    int32_t tokens, int32_t x_stride, int32_t head, int32_t heads, order_t order,
                    int8_t *y, size_t head_bytes, void *scratch) {
  const int32_t dim = op->dim, head_words = tg_weight_words(dim, linear->k);
  const tg_columns_t columns =
      order == KEYS     ? (tg_columns_t){2, 6, 4}
      : order == VALUES ? (tg_columns_t){2 * tg_round_up(tokens, 4), 2 * tg_round_up(tokens, 4), 1}
                        : (tg_columns_t){2, 2, 1};
  uint32_t *xs = scratch;
  for (int32_t i = 0, taken; i < tokens; i += taken) {
    taken = tg_take(tokens - i);
    const int32_t tile = tg_tile_rows(taken);
    int8_t *to[4];
    for (int32_t r = 0; r < tile; r++) {
      const int32_t row = i + (r < taken ? r : taken - 1);
      tg_expand(x + (ptrdiff_t)row * x_stride, linear->k, 0, tile, xs + r);
      to[r] = y + token_offset(order, dim, row);
    }
    const uint32_t *w = (const uint32_t *)linear->w + (ptrdiff_t)head * head_words;
    for (int32_t h = head; h < head + heads; h++, w += head_words) {
      if (tile == 4)
        tg_product4(linear, w, h * dim, dim, xs, to, &columns);
      else
        tg_product1(linear, w, h * dim, dim, xs, to[0], &columns);
      for (int32_t r = 0; r < tile; r++)
        to[r] += head_bytes;
    }
  }
}

void tg_attention_project_q_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *q,
                               void *scratch) {
  project(op, &op->q, x, tokens, x_stride, head, heads, ROWS, q,
          tg_attention_q_bytes(op, 1, tokens), scratch);
}

void tg_attention_project_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *k,
                               void *scratch) {
  project(op, &op->k, x, tokens, x_stride, head, heads, KEYS, k,
          tg_attention_k_bytes(op, 1, tokens), scratch);
}

void tg_attention_project_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *v,
                               void *scratch) {
  project(op, &op->v, x, tokens, x_stride, head, heads, VALUES, v,
          tg_attention_v_bytes(op, 1, tokens), scratch);
}

size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens) {
  return tg_product_scratch(op->q.k, tokens);
}
