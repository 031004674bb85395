/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/embed.h"

void tg_embed_s8(const int8_t *table, int32_t count, int32_t width, const int8_t *x, int32_t rows,
                 int8_t *y) {
  for (int32_t i = 0; i < rows; i++, y += width) {
    const int32_t id = x[i] + 128;
    const int8_t *row = table + (ptrdiff_t)(id < count ? id : count - 1) * width;
    __builtin_memcpy(y, row, (size_t)width);
  }
}
