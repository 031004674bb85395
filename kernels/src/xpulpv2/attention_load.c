/* SPDX-License-Identifier: Apache-2.0 */
/* x itself as keys and values, one head for all. */
#include "xpulpv2/keys.h"

#define EVEN 0x00ff00ffu

void tg_load_key_group(const tg_attention_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                       tg_word_t *k) {
  tg_tile_group(x, rows, x_stride, op->dim, k + 4);
  if (op->dim <= 2)
    tg_spread(op->dim, op->k.zp, k + 4);
  else
    tg_start_keys(op, k);
}

void tg_load_value_group(const tg_word_t *x, int32_t words, int32_t step, tg_word_t *v) {
  for (; words; words--, x += 4, v += step) {
    const uint32_t x0 = (uint32_t)x[0], x1 = (uint32_t)x[1];
    const uint32_t x2 = (uint32_t)x[2], x3 = (uint32_t)x[3];
    /* Features 0 and 2, and 1 and 3, of two rows each. */
    const uint32_t even0 = (x0 & EVEN) | (x1 & EVEN) << 8, odd0 = (x0 >> 8 & EVEN) | (x1 & ~EVEN);
    const uint32_t even2 = (x2 & EVEN) | (x3 & EVEN) << 8, odd2 = (x2 >> 8 & EVEN) | (x3 & ~EVEN);
    v[0] = (int32_t)((even0 & 0xffff) | even2 << 16);
    v[1] = (int32_t)((odd0 & 0xffff) | odd2 << 16);
    v[2] = (int32_t)(even0 >> 16 | (even2 & 0xffff0000));
    v[3] = (int32_t)(odd0 >> 16 | (odd2 & 0xffff0000));
  }
}

void tg_attention_load_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *k) {
  tg_word_t *to = k;
  for (int32_t i = 0; i < tokens; i += 4, to += 4 + 4 * tg_tile_words(op->dim))
    tg_load_key_group(op, x + i * (ptrdiff_t)x_stride, tokens - i < 4 ? tokens - i : 4, x_stride,
                      to);
}

void tg_attention_load_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *v) {
  const int32_t n = op->value_dim, step = 4 * tg_tile_words(tokens);
  for (int32_t i = 0; i < tokens; i += 4) {
    const int8_t *const row = x + i * (ptrdiff_t)x_stride;
    const int32_t rows = tokens - i < 4 ? tokens - i : 4;
    tg_word_t *to = (tg_word_t *)v + i;
    for (int32_t p = 0; p < n; p += 4, to += step) {
      tg_word_t four[4];
      tg_tile_group(row + p, rows, x_stride, n - p < 4 ? n - p : 4, four);
      tg_load_value_group(four, 1, 0, to);
    }
  }
}
