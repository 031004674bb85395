/* SPDX-License-Identifier: Apache-2.0 */
#include "xpulpv2/tile.h"

/* Fewer than four rows repeat the last. */
static const int8_t *row(const int8_t *x, int32_t i, int32_t rows, int32_t x_stride) {
  return x + (ptrdiff_t)(i < rows ? i : rows - 1) * x_stride;
}

void tg_tile_group(const int8_t *x, int32_t rows, int32_t x_stride, int32_t k, tg_word_t *group) {
  const int8_t *const from[4] = {row(x, 0, rows, x_stride), row(x, 1, rows, x_stride),
                                 row(x, 2, rows, x_stride), row(x, 3, rows, x_stride)};
  const int32_t words = tg_tile_words(k);
  if ((((uintptr_t)x | (uintptr_t)x_stride | (uintptr_t)k) & 3) == 0) {
    const tg_word_t *x0 = (const tg_word_t *)(const void *)from[0];
    const tg_word_t *x1 = (const tg_word_t *)(const void *)from[1];
    const tg_word_t *x2 = (const tg_word_t *)(const void *)from[2];
    const tg_word_t *x3 = (const tg_word_t *)(const void *)from[3];
    const tg_word_t *const end = x0 + words;
    do {
      const int32_t a0 = *x0++, a1 = *x1++, a2 = *x2++, a3 = *x3++;
      TG_FENCE();
      *group++ = a0;
      *group++ = a1;
      *group++ = a2;
      *group++ = a3;
    } while (x0 != end);
    return;
  }
  for (int i = 0; i < 4; i++) {
    int8_t *to = (int8_t *)group + 4 * i;
    for (int32_t p = 0; p < 4 * words; p++)
      to[(p >> 2) * 16 + (p & 3)] = p < k ? from[i][p] : 0;
  }
}
