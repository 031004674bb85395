/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/linear.h"
#include "tinygen/lut.h"
#include "xpulpv2/tiles.h"

enum { RUN = 8 }; /* tiles whose results wait on the stack, where they cannot go to y at once */

/* Up to four results of one row. */
static inline void store(const tg_linear_t *op, int32_t word, int32_t channels, int8_t *y) {
  for (int32_t j = 0; j < channels; j++, word = (int32_t)((uint32_t)word >> 8))
    y[j] = op->table ? op->table[(int8_t)word + 128] : (int8_t)word;
}

/* Rows outside, tiles inside: four rows are prepared once for all channels. */
void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch) {
  const int32_t tile = tg_tile_bytes(op->k), words = tg_tile_words(op->k);
  const int whole = (((uintptr_t)y | (uintptr_t)y_stride) & 3) == 0;
  for (int32_t i = 0; i < rows; i += 4) {
    const int32_t here = rows - i < 4 ? rows - i : 4;
    const uint8_t *w = op->w;
    int8_t *out = y + (ptrdiff_t)i * y_stride;
    int32_t n = 0;
    tg_tile_group(x + (ptrdiff_t)i * x_stride, here, x_stride, op->k, scratch);
    if (whole && (here == 4 || here == 1) && op->n >= 4) {
      if (here == 4)
        tg_tiles_project(0, scratch, w, words, op->n / 4, out,
                         &(tg_tiles_out_t){y_stride, 4, 1, 0});
      else
        tg_tiles_row(scratch, w, words, op->n / 4, out, 4);
      n = op->n & ~3;
      if (op->table)
        for (int32_t r = 0; r < here; r++)
          tg_lut_s8(op->table, out + r * (ptrdiff_t)y_stride, n, out + r * (ptrdiff_t)y_stride);
      w += n / 4 * tile;
      out += n;
    }
    while (n < op->n) {
      const int32_t left = (op->n - n + 3) / 4, run = left < RUN ? left : RUN;
      tg_word_t results[4 * RUN];
      if (here == 1)
        tg_tiles_row(scratch, w, words, run, results, 16);
      else
        tg_tiles_project(0, scratch, w, words, run, results, &(tg_tiles_out_t){4, 16, 1, 0});
      for (int32_t t = 0; t < run; t++, n += 4, out += 4) {
        const int32_t channels = op->n - n < 4 ? op->n - n : 4;
        for (int32_t r = 0; r < here; r++)
          store(op, results[4 * t + r], channels, out + r * (ptrdiff_t)y_stride);
      }
      w += run * tile;
    }
  }
}

size_t tg_linear_s8_scratch(const tg_linear_t *op, int32_t rows) {
  (void)rows;
  return 16u * (size_t)tg_tile_words(op->k);
}

size_t tg_linear_s8_weights(int32_t n, int32_t k) {
  return (size_t)((n + 3) / 4) * (size_t)tg_tile_bytes(k);
}
