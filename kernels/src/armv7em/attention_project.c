/* SPDX-License-Identifier: Apache-2.0 */
/* Projections that write what attention_layout.h describes, for all heads of a call in one go: with
 * two features a head, a call a head would cost more than the products. */
#include "armv7em/attention_layout.h"

/* Where the epilogue puts a tile. stride: of rows of a group, for those that need it. */
typedef struct {
  tg_epilogue_t *epilogue;
  uint8_t *out;
  int32_t stride, head_skip;
} target_t;

typedef target_t place_t(const tg_attention_t *op, const tg_tile_set_t *set, uint8_t *out,
                         int32_t row, int32_t rows, int32_t tokens);

static target_t place_q(const tg_attention_t *op, const tg_tile_set_t *set, uint8_t *out,
                        int32_t row, int32_t rows, int32_t tokens) {
  const int32_t row_bytes = 4 * tg_halves(op->dim);
  return (target_t){set->q, out + (ptrdiff_t)row * row_bytes, 0, row_bytes * (tokens - rows)};
}

static target_t place_k(const tg_attention_t *op, const tg_tile_set_t *set, uint8_t *out,
                        int32_t row, int32_t rows, int32_t tokens) {
  const int32_t pair_bytes = 8 * tg_halves(op->dim);
  (void)rows;
  return (target_t){set->k, out + (ptrdiff_t)(row / 2) * pair_bytes, pair_bytes,
                    pair_bytes * (tg_halves(tokens) - 1)};
}

static target_t place_v(const tg_attention_t *op, const tg_tile_set_t *set, uint8_t *out,
                        int32_t row, int32_t rows, int32_t tokens) {
  (void)op, (void)rows;
  return (target_t){set->v, out + 4 * (ptrdiff_t)row, 8 * tg_halves(tokens), 0};
}

/* TG_EXACT. */
static void by_hand(int32_t dim, const tg_linear_t *linear, const tg_tile_set_t *set,
                    const uint32_t *a, const uint8_t *b, int32_t rows, int32_t heads, target_t to) {
  const int32_t step = tg_strip_bytes(linear->k);
  for (int32_t h = 0; h < heads; h++, to.out += to.head_skip)
    for (int32_t p = 0; p < dim; p += 2, b += step) {
      int32_t v[8];
      tg_strip_by_hand(linear, a, b, rows, v);
      uint32_t *out = (uint32_t *)(void *)to.out;
      if (to.epilogue == set->v) {
        for (int32_t i = 0; i < rows; i += 2) {
          out[i] = tg_pack16((uint32_t)v[2 * i], rows > 1 ? (uint32_t)v[2 * i + 2] : 0);
          out[i + 1] = tg_pack16((uint32_t)v[2 * i + 1], rows > 1 ? (uint32_t)v[2 * i + 3] : 0);
        }
        to.out += to.stride;
        continue;
      }
      for (int32_t i = 0; i < rows; i++) {
        const uint32_t pair =
            tg_pack16((uint32_t)(v[2 * i] - linear->zp), (uint32_t)(v[2 * i + 1] - linear->zp));
        if (to.epilogue == set->q) {
          out[i] = pair;
        } else {
          out[i / 2 * (to.stride / 4) + i % 2] = pair;
          if (rows == 1)
            out[1] = pair;
        }
      }
      to.out += to.epilogue == set->q ? 4 * rows : 8;
    }
}

static inline __attribute__((always_inline)) void
project(const tg_attention_t *op, const tg_linear_t *linear, int32_t dim, const int8_t *x,
        int32_t tokens, int32_t x_stride, int32_t head, int32_t heads, uint8_t *out, uint32_t *a,
        place_t *place) {
  const int32_t step = tg_strip_bytes(linear->k), pairs = tg_pairs8(linear->k);
  const int32_t head_bytes = tg_halves(dim) * step;
  const uint8_t *w = (const uint8_t *)linear->w + (ptrdiff_t)head * head_bytes;
  for (int32_t row = 0; row < tokens;) {
    const int32_t rows = tg_group_rows(tokens - row);
    const tg_tile_set_t *set = tg_tile_set(rows);
    const target_t to = place(op, set, out, row, rows, tokens);
    tg_expand_rows(x, x_stride, linear->k, rows, a);
    if (linear->form == TG_EXACT)
      by_hand(dim, linear, set, a, w, rows, heads, to);
    else
      tg_tiles_of(linear, set)(a, w, w + head_bytes, step, pairs, to.out, to.epilogue, linear->zp,
                               to.stride, 0, 0, heads, head_bytes, to.head_skip);
    row += rows;
    x += (ptrdiff_t)rows * x_stride;
  }
}

void tg_attention_project_q_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *q,
                               void *scratch) {
  project(op, &op->q, op->dim, x, tokens, x_stride, head, heads, q, scratch, place_q);
}

void tg_attention_project_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *k,
                               void *scratch) {
  project(op, &op->k, op->dim, x, tokens, x_stride, head, heads, k, scratch, place_k);
}

void tg_attention_project_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *v,
                               void *scratch) {
  project(op, &op->v, op->value_dim, x, tokens, x_stride, head, heads, v, scratch, place_v);
}

size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens) {
  return tg_linear_s8_scratch(&op->q, tokens);
}

size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_q_head(op, tokens);
}

size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_k_head(op, tokens);
}

size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_v_head(op, tokens);
}
