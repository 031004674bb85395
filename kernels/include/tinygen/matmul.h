/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_MATMUL_H
#define TINYGEN_MATMUL_H

#include "tinygen/types.h"

TG_BEGIN

/* Product of two activations, batch by batch: y = requant(sum_k (a - a_zp)(b - b_zp)).
 *
 * y [batches][rows][cols] without gaps. Element (row, k) of batch i of a stands at
 * a[i / inner * a_outer + i % inner * a_inner + row * a_row + k * a_k], and element (k, col) of b
 * alike: either operand may be transposed, interleaved with other heads, or shared by batches
 * (stride 0). 1 <= k <= 33025, so that sums stay within int32; m, s, zp as in tg_linear_t, one
 * multiplier for all. The bits: tinygen.operators, `BatchMatMul`. */
typedef struct {
  int32_t rows, cols, k, inner;
  int32_t a_outer, a_inner, a_row, a_k;
  int32_t b_outer, b_inner, b_col, b_k;
  int32_t a_zp, b_zp;
  int32_t m, s, zp;
} tg_matmul_t;

/* Rows [first, last) of batches * rows; y points at row 0.
 * scratch: tg_matmul_s8_scratch(op) bytes, 4-byte aligned. */
void tg_matmul_s8(const tg_matmul_t *op, const int8_t *a, const int8_t *b, int32_t first,
                  int32_t last, int8_t *y, void *scratch);
size_t tg_matmul_s8_scratch(const tg_matmul_t *op);

TG_END

#endif
