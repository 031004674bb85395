/* SPDX-License-Identifier: Apache-2.0 */
/* What follows when a group of four keys is in its place (attention.h). */
#ifndef TINYGEN_XPULPV2_KEYS_H
#define TINYGEN_XPULPV2_KEYS_H

#include "xpulpv2/attention.h"

/* The parts of the scores' zero points that belong to the four keys of a group. Keys that do not
 * exist repeat the last that does: they never change a row's maximum. */
static inline void tg_start_keys(const tg_attention_t *op, tg_word_t *group) {
  const int32_t words = tg_tile_words(op->dim);
  const int32_t both = op->dim * op->q.zp * op->k.zp;
  const tg_word_t *from = group + 4;
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  for (int32_t p = 0; p < words; p++, from += 4) {
    sum0 = tg_sdotsp4(sum0, from[0], TG_ONES);
    sum1 = tg_sdotsp4(sum1, from[1], TG_ONES);
    sum2 = tg_sdotsp4(sum2, from[2], TG_ONES);
    sum3 = tg_sdotsp4(sum3, from[3], TG_ONES);
  }
  group[0] = both - op->q.zp * sum0;
  group[1] = both - op->q.zp * sum1;
  group[2] = both - op->q.zp * sum2;
  group[3] = both - op->q.zp * sum3;
}

/* One or two features, as the low bytes of words -> halfwords without their zero point. */
static inline void tg_spread(int32_t dim, int32_t zp, tg_word_t *out) {
  for (int i = 0; i < 4; i++) {
    const int32_t word = out[i], first = (int8_t)word - zp;
    const int32_t second = dim == 2 ? (int8_t)((uint32_t)word >> 8) - zp : 0;
    out[i] = (int32_t)((uint32_t)first & 0xffff) | (int32_t)((uint32_t)second << 16);
  }
}

#endif
