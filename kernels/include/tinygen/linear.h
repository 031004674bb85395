/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_LINEAR_H
#define TINYGEN_LINEAR_H

#include "tinygen/types.h"

TG_BEGIN

/* y = clamp8(zp + ((x w^T + bias) * m + 2^(s-1) >> s)), then table[y + 128] unless table is null.
 *
 * w      packed by the target's layout (tinygen.targets); opaque to the caller
 * bias   [n], the input's zero point folded in
 * m      [n] multipliers; both null on targets whose packer puts them into w
 * s      1..32;  zp -128..127;  k, n >= 1
 * form   which of the target's packings w has (tinygen.targets); 0 where there is but one
 */
typedef struct {
  const void *w;
  const int32_t *bias;
  const int32_t *m;
  const int8_t *table; /* nullable */
  int32_t k, n;
  int32_t s, zp;
  int32_t form;
} tg_linear_t;

/* x [rows][k], rows x_stride apart -> y [rows][n], rows y_stride apart.
 * scratch: tg_linear_s8_scratch(op, rows) bytes, 4-byte aligned (nullable when that is 0).
 * Any alignment of x and y is allowed. */
void tg_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int32_t x_stride, int8_t *y,
                  int32_t y_stride, void *scratch);

size_t tg_linear_s8_scratch(const tg_linear_t *op, int32_t rows);

/* Bytes that the packed weights of n outputs of k inputs take. Packing starts afresh at every group
 * of a convolution and at every head of a projection, so that each can be addressed by itself. */
size_t tg_linear_s8_weights(int32_t n, int32_t k);

TG_END

#endif
