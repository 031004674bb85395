/* SPDX-License-Identifier: Apache-2.0 */
/* One group of rows after the other, each times all strips; see tiles.h. */
#include "tinygen/linear.h"
#include "armv7em/tiles.h"

/* Strips that the epilogues cannot finish: a lone last column, TG_EXACT. */
static void by_hand(const tg_linear_t *op, const uint32_t *a, int32_t rows, int32_t column,
                    int8_t *y, int32_t y_stride) {
  const int32_t step = tg_strip_bytes(op->k);
  for (; column < op->n; column += 2, y += 2) {
    int32_t v[8];
    tg_strip_by_hand(op, a, (const uint8_t *)op->w + (ptrdiff_t)(column / 2) * step, rows, v);
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < 2 && column + c < op->n; c++)
        y[(ptrdiff_t)r * y_stride + c] =
            (int8_t)(op->table ? op->table[v[2 * r + c] + 128] : v[2 * r + c]);
  }
}

void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch) {
  const uint8_t *w = op->w;
  uint32_t *a = scratch;
  const int32_t step = tg_strip_bytes(op->k), pairs = tg_pairs8(op->k);
  const int32_t strips = op->form == TG_EXACT ? 0 : op->n / 2;
  while (rows) {
    const int32_t group = tg_group_rows(rows);
    const tg_tile_set_t *set = tg_tile_set(group);
    tg_expand_rows(x, x_stride, op->k, group, a);
    if (strips)
      tg_tiles_of(op, set)(a, w, w + (ptrdiff_t)strips * step, step, pairs, y,
                           op->table ? set->table : set->linear, op->zp, y_stride,
                           (int32_t)((uintptr_t)op->table + 128), 0, 1, 0, 0);
    if (2 * strips < op->n)
      by_hand(op, a, group, 2 * strips, y + 2 * strips, y_stride);
    rows -= group;
    x += (ptrdiff_t)group * x_stride;
    y += (ptrdiff_t)group * y_stride;
  }
}

size_t tg_linear_s8_scratch(const tg_linear_t *op, int32_t rows) {
  return (size_t)(4 * tg_group_rows(rows) * tg_pairs8(op->k));
}

size_t tg_linear_s8_weights(int32_t n, int32_t k) {
  return (size_t)((n + 1) / 2) * (size_t)tg_strip_bytes(k);
}
