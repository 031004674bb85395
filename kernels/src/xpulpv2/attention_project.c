/* SPDX-License-Identifier: Apache-2.0 */
#include "xpulpv2/attention.h"

size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_q_head_bytes(op->dim, tokens);
}

size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_k_head_bytes(op->dim, tokens);
}

size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens) {
  return (size_t)heads * (size_t)tg_v_head_bytes(op->dim, tokens);
}

/* The parts of the scores' zero points that belong to the four keys of a group. Scores of keys that
 * do not exist start, and so end, below all others: they never are a row's maximum. */
static void start_keys(const tg_attention_t *op, tg_word_t *group, int32_t keys) {
  const int32_t words = tg_tile_words(op->dim);
  const int32_t both = op->dim * op->q.zp * op->k.zp;
  for (int32_t i = 0; i < 4; i++) {
    int32_t sum = 0;
    for (int32_t p = 0; p < words; p++)
      sum = tg_sdotsp4(sum, group[4 + 4 * p + i], TG_ONES);
    group[i] = i < keys ? both - op->q.zp * sum : -(1 << 30);
  }
}

void tg_project_groups(const tg_attention_t *op, const tg_linear_t *linear, const void *w, int what,
                       const int8_t *x, int32_t tokens, int32_t x_stride, int32_t first,
                       int32_t groups, void *y, void *scratch) {
  const int32_t tile = tg_tile_bytes(linear->k);
  const int32_t words = tg_tile_words(op->dim), token_words = tg_tile_words(tokens);
  const int32_t last_mask = op->dim & 3 ? (1 << 8 * (op->dim & 3)) - 1 : -1;
  for (int32_t g = first; g < first + groups; g++) {
    const int32_t here = tokens - 4 * g < 4 ? tokens - 4 * g : 4;
    tg_tile_group(x + 4 * (ptrdiff_t)g * x_stride, here, x_stride, linear->k, scratch);
    tg_word_t *out = y, *const k_group = out + g * 4 * (words + 1);
    ptrdiff_t step = 4;
    if (what == TG_PROJECT_V) {
      out += 4 * g;
      step = 4 * token_words;
    } else {
      out = what == TG_PROJECT_K ? k_group + 4 : out + g * 4 * words;
    }
    const uint8_t *h = w;
    for (int32_t p = 0; p < words; p++, h += tile, out += step) {
      const tg_tile_header_t *header = (const tg_tile_header_t *)(const void *)h;
      int32_t v[16];
      if (here == 1) {
        tg_tile_1x4(linear, header, scratch, v);
        v[4] = v[8] = v[12] = v[0];
        v[5] = v[9] = v[13] = v[1];
        v[6] = v[10] = v[14] = v[2];
        v[7] = v[11] = v[15] = v[3];
      } else {
        tg_tile_4x4(linear, header, scratch, v);
      }
      if (what == TG_PROJECT_V) {
#define TG_DO(j) out[j] = tg_pack4(v[j], v[4 + j], v[8 + j], v[12 + j]);
        TG_EACH4(TG_DO)
#undef TG_DO
      } else {
        const int32_t mask = p == words - 1 ? last_mask : -1;
#define TG_DO(i) out[i] = tg_pack4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]) & mask;
        TG_EACH4(TG_DO)
#undef TG_DO
      }
    }
    if (what == TG_PROJECT_K)
      start_keys(op, k_group, here);
  }
}

static void project(const tg_attention_t *op, const tg_linear_t *linear, int what, const int8_t *x,
                    int32_t tokens, int32_t x_stride, int32_t head, int32_t heads, void *y,
                    int32_t head_bytes, void *scratch) {
  const int32_t weights = tg_project_head_weights(op->dim, linear->k);
  for (int32_t h = 0; h < heads; h++)
    tg_project_groups(op, linear, (const uint8_t *)linear->w + (ptrdiff_t)(head + h) * weights,
                      what, x, tokens, x_stride, 0, tg_tile_words(tokens),
                      (uint8_t *)y + (ptrdiff_t)h * head_bytes, scratch);
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
  project(op, &op->v, TG_PROJECT_V, x, tokens, x_stride, head, heads, v,
          tg_v_head_bytes(op->dim, tokens), scratch);
}

size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens) {
  return tg_linear_s8_scratch(&op->q, tokens);
}
