/* SPDX-License-Identifier: Apache-2.0 */
/* The product x w^T with plain row-major weights, for cores without SIMD.
 *
 * Bytes only, so any alignment will do (Cortex-M0+ faults on an unaligned word). A 2x2 tile reuses
 * each loaded byte once; more accumulators would spill on the eight low registers of ARMv6-M.
 */
#ifndef TINYGEN_COMMON_ROWMAJOR_H
#define TINYGEN_COMMON_ROWMAJOR_H

#include "common/arith.h"
#include "tinygen/linear.h"

static inline int8_t tg_epilogue(const tg_linear_t *op, int32_t acc, int32_t channel) {
  int8_t y = tg_requant(acc, op->m[channel], op->s, op->zp);
  return op->table ? op->table[y + 128] : y;
}

/* Output channels [first, first + n) of op for `rows` rows of x; element (row, channel - first)
 * goes to y[row * y_row + (channel - first) * y_channel]. */
static inline void tg_rowmajor(const tg_linear_t *op, int32_t first, int32_t n, const int8_t *x,
                               int32_t rows, ptrdiff_t x_stride, int8_t *y, ptrdiff_t y_row,
                               ptrdiff_t y_channel) {
  const int32_t k = op->k;
  for (int32_t i = 0; i < rows; i += 2) {
    /* At an odd end the second row or channel repeats the first, and its result is dropped. */
    const int two_rows = rows - i > 1;
    const int8_t *x0 = x + i * x_stride;
    const int8_t *x1 = two_rows ? x0 + x_stride : x0;
    for (int32_t j = 0; j < n; j += 2) {
      const int two_channels = n - j > 1;
      const int32_t c0 = first + j, c1 = two_channels ? c0 + 1 : c0;
      const int8_t *w0 = (const int8_t *)op->w + (ptrdiff_t)c0 * k;
      const int8_t *w1 = (const int8_t *)op->w + (ptrdiff_t)c1 * k;
      int32_t a00 = op->bias[c0], a01 = op->bias[c1], a10 = a00, a11 = a01;
      for (int32_t p = 0; p < k; p++) {
        a00 += x0[p] * w0[p];
        a01 += x0[p] * w1[p];
        a10 += x1[p] * w0[p];
        a11 += x1[p] * w1[p];
      }
      int8_t *out = y + i * y_row + j * y_channel;
      out[0] = tg_epilogue(op, a00, c0);
      if (two_channels)
        out[y_channel] = tg_epilogue(op, a01, c1);
      if (two_rows)
        out[y_row] = tg_epilogue(op, a10, c0);
      if (two_rows && two_channels)
        out[y_row + y_channel] = tg_epilogue(op, a11, c1);
    }
  }
}

#endif
