/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_BINARY_H
#define TINYGEN_BINARY_H

#include "tinygen/types.h"

TG_BEGIN

/* Functions of two activations, element by element, either repeated along axes (stride 0) or read
 * in another order. y [dims[0]]...[dims[3]] without gaps; element (i, j, k, l) of a stands at
 * a[i a_strides[0] + j a_strides[1] + k a_strides[2] + l a_strides[3]], and of b alike. */
typedef struct {
  int32_t dims[4];
  int32_t a_strides[4], b_strides[4];
} tg_pairs_t;

/* y = requant((a - a_zp)(b - b_zp)); m, s, zp as in tg_linear_t. */
typedef struct {
  tg_pairs_t pairs;
  int32_t a_zp, b_zp, m, s, zp;
} tg_mul_t;

/* y = clamp8((a ma + b mb + c) >> s), |ma|, |mb| < 2^21, s <= 22, all sums within int32. */
typedef struct {
  tg_pairs_t pairs;
  int32_t ma, mb, c, s;
} tg_sum_t;

/* y = clamp8(zp + ((a - a_zp) reciprocals[b + 128] + 2^(s-1) >> s)); |reciprocals| < 2^22. */
typedef struct {
  tg_pairs_t pairs;
  const int32_t *reciprocals;
  int32_t a_zp, s, zp;
} tg_div_t;

/* y = max(a_table[a + 128], b_table[b + 128]), or the least of both. */
typedef struct {
  tg_pairs_t pairs;
  const int8_t *a_table, *b_table;
  int32_t least;
} tg_extreme_t;

/* Rows [first, last) of dims[0] dims[1] dims[2], of dims[3] elements each; all pointers stand at
 * row 0. y may be an operand that is read in y's own order. */
void tg_mul_s8(const tg_mul_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y);
void tg_sum_s8(const tg_sum_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y);
void tg_div_s8(const tg_div_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y);
void tg_extreme_s8(const tg_extreme_t *op, const int8_t *a, const int8_t *b, int32_t first,
                   int32_t last, int8_t *y);

TG_END

#endif
