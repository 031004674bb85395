/* SPDX-License-Identifier: Apache-2.0 */
#include "armv7em/tiles.h"

/* The last 1 to 3 bytes of a row; what is missing reads as 0. */
static uint32_t load_tail(const int8_t *from, int32_t count) {
  uint32_t x = (uint8_t)from[0];
  if (count > 1)
    x |= (uint32_t)(uint8_t)from[1] << 8;
  if (count > 2)
    x |= (uint32_t)(uint8_t)from[2] << 16;
  return x;
}

/* Four inputs of one row. */
static inline __attribute__((always_inline)) void expand4(const int8_t *x, uint32_t *a,
                                                          int32_t rows) {
  const uint32_t w = tg_load32(x);
  a[0] = tg_sxtb16(w);
  a[rows] = tg_sxtb16_odd(w);
}

static inline __attribute__((always_inline)) void
expand(const int8_t *x, int32_t x_stride, int32_t k, uint32_t *restrict a, int32_t rows) {
  const int8_t *x1 = x + x_stride, *x2 = x1 + x_stride, *x3 = x2 + x_stride;
  int32_t i = 0;
#define FOUR(at)                                                                                   \
  do {                                                                                             \
    uint32_t *to_ = a + (at) / 2 * rows;                                                           \
    expand4(x + i + (at), to_, rows);                                                              \
    if (rows > 1)                                                                                  \
      expand4(x1 + i + (at), to_ + 1, rows);                                                       \
    if (rows > 2) {                                                                                \
      expand4(x2 + i + (at), to_ + 2, rows);                                                       \
      expand4(x3 + i + (at), to_ + 3, rows);                                                       \
    }                                                                                              \
  } while (0)
  for (; i + 8 <= k; i += 8, a += 4 * rows) {
    FOUR(0);
    FOUR(4);
  }
  if (i + 4 <= k) {
    FOUR(0);
    i += 4;
    a += 2 * rows;
  }
#undef FOUR
  if (i < k)
    for (int32_t r = 0; r < rows; r++, x += x_stride) {
      const uint32_t w = load_tail(x + i, k - i);
      a[r] = tg_sxtb16(w);
      a[rows + r] = tg_sxtb16_odd(w);
    }
}

void tg_expand_rows(const int8_t *x, int32_t x_stride, int32_t k, int32_t rows, uint32_t *a) {
  if (rows == 4)
    expand(x, x_stride, k, a, 4);
  else if (rows == 2)
    expand(x, x_stride, k, a, 2);
  else
    expand(x, x_stride, k, a, 1);
}
