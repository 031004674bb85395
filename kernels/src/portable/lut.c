/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/lut.h"

void tg_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y) {
  for (int32_t i = 0; i < count; i++)
    y[i] = table[x[i] + 128];
}
