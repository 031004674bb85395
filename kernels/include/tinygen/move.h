/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_MOVE_H
#define TINYGEN_MOVE_H

#include "tinygen/types.h"

TG_BEGIN

/* Movement that no reader takes by its strides: y [dims[0]]...[dims[3]], element (i, j, k, l) from
 * x[i strides[0] + j strides[1] + k strides[2] + l strides[3]]. y_row: elements from one row of
 * dims[3] to the next in y (more than dims[3] where rows of several sources alternate).
 * The bits: tinygen.operators, `Reorder` and `Concat`. */
typedef struct {
  int32_t dims[4], strides[4];
  int32_t y_row;
} tg_move_t;

/* Rows [first, last) of dims[0] dims[1] dims[2]; y points at row 0. */
void tg_move_s8(const tg_move_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

/* Runs of `run` elements from anywhere: run i of y is x[index[i]...], or `fill` where index[i] is
 * negative. The bits: tinygen.operators, `Gather`. */
typedef struct {
  const int32_t *index;
  int32_t run, fill;
} tg_gather_t;

/* Runs [first, last); y points at run 0. */
void tg_gather_s8(const tg_gather_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

TG_END

#endif
