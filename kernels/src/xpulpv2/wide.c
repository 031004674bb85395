/* SPDX-License-Identifier: Apache-2.0 */
/* For multipliers that the high half of a product does not fit: rare, so apart and small. */
#include "xpulpv2/tiles.h"

void tg_tile_wide(const tg_word_t *x, const void *tile, int32_t words, int32_t v[16]) {
  const tg_word_t *const bias = tile, *const w = bias + 4;
  const tg_rounding_t *const r = tg_tile_rounding(tile, words);
  for (int32_t i = 0; i < 16; i++) {
    int32_t acc = bias[i & 3];
    for (int32_t p = 0; p < words; p++)
      acc = tg_sdotsp4(acc, x[4 * p + (i >> 2)], w[4 * p + (i & 3)]);
    v[i] = tg_requant(acc, r->m[i & 3], r->shift, r->offset);
  }
}

void tg_tiles_scores_wide(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups,
                          tg_word_t *out, const tg_tiles_score_t *c) {
  for (; groups; groups--, k += 4 * words + 4) {
    for (int32_t i = 0; i < 4; i++) {
      int32_t v[4];
      for (int32_t j = 0; j < 4; j++) {
        int32_t acc = c->row[i] + k[j];
        for (int32_t p = 0; p < words; p++)
          acc = tg_sdotsp4(acc, q[4 * p + i], k[4 + 4 * p + j]);
        v[j] = tg_requant(acc, c->m, c->shift, c->offset);
      }
      *out++ = tg_pack4(v[0], v[1], v[2], v[3]);
    }
  }
}

void tg_tiles_pairs_wide(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups,
                         tg_word_t *out, const tg_tiles_score_t *c) {
  (void)words;
  for (; groups; groups--, k += 8) {
    for (int32_t i = 0; i < 4; i++) {
      int32_t v[4];
      for (int32_t j = 0; j < 4; j++)
        v[j] = tg_requant(tg_dotsp2(q[i], k[4 + j]), c->m, c->shift, c->offset);
      *out++ = tg_pack4(v[0], v[1], v[2], v[3]);
    }
  }
}
