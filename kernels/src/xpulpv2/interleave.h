/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_XPULPV2_INTERLEAVE_H
#define TINYGEN_XPULPV2_INTERLEAVE_H

#include "xpulpv2/few.h"

/* Words core, core + cores... of up to five rows of x, interleaved word by word; rows that do not
 * exist repeat the last, inputs that do not exist are zero. */
static inline void tg_few_interleave(int32_t core, int32_t cores, const int8_t *x, int32_t rows,
                                     int32_t k, tg_word_t *group) {
  const int32_t words = tg_tile_words(k);
  for (int32_t p = core; p < words; p += cores) {
    const int8_t *from = x + 4 * p;
    for (int32_t i = 0; i < TG_FEW; i++, from += i < rows ? k : 0) {
      if (k & 3) {
        const int32_t left = k - 4 * p;
        group[TG_FEW * p + i] = tg_pack4(from[0], left > 1 ? from[1] : 0, left > 2 ? from[2] : 0,
                                         left > 3 ? from[3] : 0);
      } else {
        group[TG_FEW * p + i] = *(const tg_word_t *)(const void *)from;
      }
    }
  }
}

#endif
