/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/move.h"

void tg_move_s8(const tg_move_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y) {
  const int32_t width = op->dims[3], step = op->strides[3];
  for (int32_t r = first; r < last; r++) {
    const int32_t k = r % op->dims[2], ij = r / op->dims[2];
    const int8_t *from = x + (ptrdiff_t)(ij / op->dims[1]) * op->strides[0] +
                         (ptrdiff_t)(ij % op->dims[1]) * op->strides[1] +
                         (ptrdiff_t)k * op->strides[2];
    int8_t *to = y + (ptrdiff_t)r * op->y_row;
    for (int32_t i = 0; i < width; i++, from += step)
      to[i] = *from;
  }
}

void tg_gather_s8(const tg_gather_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y) {
  const int32_t run = op->run;
  for (int32_t r = first; r < last; r++) {
    const int32_t at = op->index[r];
    int8_t *to = y + (ptrdiff_t)r * run;
    for (int32_t i = 0; i < run; i++)
      to[i] = at < 0 ? (int8_t)op->fill : x[at + i];
  }
}
