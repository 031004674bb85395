/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_WEIGHTED_H
#define TINYGEN_WEIGHTED_H

#include "tinygen/types.h"

TG_BEGIN

/* Softmax and the product that reads it: x [batches][rows][length] are scores,
 * y [batches][rows][cols] = normalised sum_t e_t (v_t - v_zp).
 *
 * Element (t, col) of batch i of v stands at
 * v[i / inner * v_outer + i % inner * v_inner + t * v_row + col * v_col]. Weights e, their
 * normalisation (mult, frac, s, offset) and mask as in tg_softmax_t, row r counted over all
 * batches; 255 * length * exp_table[0] < 2^31. The bits: tinygen.operators, `Weighted`. */
typedef struct {
  int32_t rows, cols, length, inner;
  int32_t v_outer, v_inner, v_row, v_col, v_zp;
  const uint16_t *exp_table;
  int32_t mult, frac, s, offset;
  const uint8_t *mask;
  int32_t mask_rows, mask_stride;
  int32_t group; /* rows that share one softmax; 0: each has its own */
} tg_weighted_t;

/* Rows [first, last) of batches * rows; x and y point at row 0.
 * scratch: tg_weighted_s8_scratch(op) bytes, 4-byte aligned. */
void tg_weighted_s8(const tg_weighted_t *op, const int8_t *x, const int8_t *v, int32_t first,
                    int32_t last, int8_t *y, void *scratch);
size_t tg_weighted_s8_scratch(const tg_weighted_t *op);

TG_END

#endif
