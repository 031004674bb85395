/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/linear.h"
#include "xpulpv2/tile.h"

/* Up to four results of one row, packed. */
static inline void store(const tg_linear_t *op, int32_t word, int32_t channels, int aligned,
                         int8_t *y) {
  if (!op->table && aligned && channels == 4) {
    *(tg_word_t *)(void *)y = word;
    return;
  }
  for (int32_t j = 0; j < channels; j++, word = (int32_t)((uint32_t)word >> 8))
    y[j] = op->table ? op->table[(int8_t)word + 128] : (int8_t)word;
}

/* Rows outside, tiles inside: four rows are prepared once for all channels. */
void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch) {
  const int32_t tile = tg_tile_bytes(op->k);
  const int aligned = (((uintptr_t)y | (uintptr_t)y_stride) & 3) == 0;
  for (int32_t i = 0; i < rows; i += 4) {
    const int32_t here = rows - i < 4 ? rows - i : 4;
    const uint8_t *w = op->w;
    tg_tile_group(x + (ptrdiff_t)i * x_stride, here, x_stride, op->k, scratch);
    int8_t *out = y + (ptrdiff_t)i * y_stride;
    for (int32_t n = 0; n < op->n; n += 4, w += tile, out += 4) {
      const tg_tile_header_t *h = (const tg_tile_header_t *)(const void *)w;
      const int32_t channels = op->n - n < 4 ? op->n - n : 4;
      int32_t v[16];
      if (here == 1) {
        tg_tile_1x4(op, h, scratch, v);
        store(op, tg_pack4(v[0], v[1], v[2], v[3]), channels, aligned, out);
        continue;
      }
      tg_tile_4x4(op, h, scratch, v);
      store(op, tg_pack4(v[0], v[1], v[2], v[3]), channels, aligned, out);
      store(op, tg_pack4(v[4], v[5], v[6], v[7]), channels, aligned, out + y_stride);
      if (here > 2)
        store(op, tg_pack4(v[8], v[9], v[10], v[11]), channels, aligned,
              out + 2 * (ptrdiff_t)y_stride);
      if (here > 3)
        store(op, tg_pack4(v[12], v[13], v[14], v[15]), channels, aligned,
              out + 3 * (ptrdiff_t)y_stride);
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
