/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arith.h"
#include "tinygen/add.h"

void tg_add_wide_s8(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t count,
                    int8_t *y) {
  for (int32_t i = 0; i < count; i++)
    y[i] = tg_clamp8((a[i] * op->ma + b[i] * op->mb + op->c) >> op->s);
}
