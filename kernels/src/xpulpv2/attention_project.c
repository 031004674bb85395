/* SPDX-License-Identifier: Apache-2.0 */
#include "xpulpv2/attention.h"
#include "xpulpv2/keys.h"
#include "xpulpv2/tiles.h"

size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_q_head_bytes(op->dim, tokens);
}

size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_k_head_bytes(op->dim, tokens);
}

size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_v_head_bytes(op->value_dim, tokens);
}

/* One row's results (a word a tile) as a group of four equal rows. */
static void repeat(int columns, int32_t words, ptrdiff_t step, tg_word_t *out) {
  for (int32_t p = 0; p < words; p++, out += step) {
    const int32_t word = out[0];
    for (int i = 0; i < 4; i++)
      out[i] = columns ? (int32_t)((uint32_t)word >> 8 * i) : word;
  }
}

void tg_project_groups(const tg_attention_t *op, const tg_linear_t *linear, const void *w, int what,
                       const tg_word_t *x, int32_t tokens, int32_t first, int32_t count, void *y) {
  const int32_t words = tg_tile_words(op->dim), k_words = tg_tile_words(linear->k);
  const int columns = what == TG_PROJECT_V;
  const int32_t starts = what == TG_PROJECT_K ? 4 : 0; /* words before a group's results */
  const int32_t step = columns ? 4 * tg_tile_words(tokens) : 4;
  const int32_t group = columns ? 4 : 4 * words + starts;
  tg_word_t *out = (tg_word_t *)y + first * (ptrdiff_t)group + starts;
  const int32_t lone = tokens - 4 * (first + count - 1) == 1, whole = count - lone;
  if (whole)
    tg_tiles_project(columns, x, w, k_words, words, out,
                     &(tg_tiles_out_t){4, 4 * step, whole, 4 * group});
  if (lone) {
    tg_word_t *const last = out + whole * (ptrdiff_t)group;
    tg_tiles_row(x + 4 * whole * (ptrdiff_t)k_words, w, k_words, words, last, 4 * step);
    repeat(columns, words, step, last);
  }
  if (columns)
    return;
  for (; count; count--, out += group) {
    if (op->dim <= 2) {
      tg_spread(op->dim, linear->zp, out);
      continue;
    }
    if (op->dim & 3)
      for (int i = 0; i < 4; i++) /* features that do not exist are zero */
        out[4 * (words - 1) + i] &= (1 << 8 * (op->dim & 3)) - 1;
    if (what == TG_PROJECT_K)
      tg_start_keys(op, out - 4);
  }
}

static void project(const tg_attention_t *op, const tg_linear_t *linear, int what, const int8_t *x,
                    int32_t tokens, int32_t x_stride, int32_t head, int32_t heads, void *y,
                    int32_t head_bytes, void *scratch) {
  const int32_t weights = tg_project_head_weights(op->dim, linear->k);
  const uint8_t *const first = (const uint8_t *)linear->w + (ptrdiff_t)head * weights;
  for (int32_t g = 0; g < tg_tile_words(tokens); g++) {
    const int32_t row = 4 * g, rows = tokens - row < 4 ? tokens - row : 4;
    tg_tile_group(x + row * (ptrdiff_t)x_stride, rows, x_stride, linear->k, scratch);
    for (int32_t h = 0; h < heads; h++)
      tg_project_groups(op, linear, first + (ptrdiff_t)h * weights, what, scratch, tokens, g, 1,
                        (uint8_t *)y + (ptrdiff_t)h * head_bytes);
  }
}

void tg_attention_project_q_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *q,
                               void *scratch) {
  project(op, &op->q, TG_PROJECT_Q, x, tokens, x_stride, head, heads, q,
          tg_q_head_bytes(op->dim, tokens), scratch);
}

void tg_attention_project_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *k,
                               void *scratch) {
  project(op, &op->k, TG_PROJECT_K, x, tokens, x_stride, head, heads, k,
          tg_k_head_bytes(op->dim, tokens), scratch);
}

void tg_attention_project_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *v,
                               void *scratch) {
  tg_attention_t values = *op;
  values.dim = op->value_dim;
  project(&values, &op->v, TG_PROJECT_V, x, tokens, x_stride, head, heads, v,
          tg_v_head_bytes(op->value_dim, tokens), scratch);
}

size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens) {
  return tg_linear_s8_scratch(&op->q, tokens);
}
