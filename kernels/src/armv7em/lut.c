/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/lut.h"

void tg_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y) {
  const int8_t *middle = table + 128;
  for (; count >= 16; count -= 16, x += 16, y += 16) {
#define ELEMENT(i) y[i] = middle[x[i]]
    ELEMENT(0);
    ELEMENT(1);
    ELEMENT(2);
    ELEMENT(3);
    ELEMENT(4);
    ELEMENT(5);
    ELEMENT(6);
    ELEMENT(7);
    ELEMENT(8);
    ELEMENT(9);
    ELEMENT(10);
    ELEMENT(11);
    ELEMENT(12);
    ELEMENT(13);
    ELEMENT(14);
    ELEMENT(15);
#undef ELEMENT
  }
  for (int32_t i = 0; i < count; i++)
    y[i] = middle[x[i]];
}
