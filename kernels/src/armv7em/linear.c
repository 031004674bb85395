/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/linear.h"
#include "armv7em/product.h"

void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch) {
  static const tg_columns_t in_order = {2, 2, 1};
  uint32_t *xs = scratch;
  const uint32_t *w = op->w;
  for (int32_t i = 0, taken; i < rows; i += taken) {
    taken = tg_take(rows - i);
    const int32_t tile = tg_tile_rows(taken);
    int8_t *to[4];
    for (int32_t r = 0; r < tile; r++) {
      const ptrdiff_t row = i + (r < taken ? r : taken - 1);
      tg_expand(x + row * x_stride, op->k, 0, tile, xs + r);
      to[r] = y + row * y_stride;
    }
    if (tile == 4)
      tg_product4(op, w, 0, op->n, xs, to, &in_order);
    else
      tg_product1(op, w, 0, op->n, xs, to[0], &in_order);
  }
}

size_t tg_linear_s8_scratch(const tg_linear_t *op, int32_t rows) {
  return tg_product_scratch(op->k, rows);
}

size_t tg_linear_s8_weights(int32_t n, int32_t k) {
  return (size_t)tg_weight_words(n, k) * sizeof(uint32_t);
}
