/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_DOT_PRODUCT_ATTENTION_H
#define TINYGEN_DOT_PRODUCT_ATTENTION_H

#include "tinygen/types.h"

TG_BEGIN

/* Attention on queries, keys and values that other layers made: for masks, for projections that are
 * rounded twice and for weights of 8 bits. The same plain C on every core.
 *
 * q [rows][heads * dim], k and v [keys][heads * dim], y [rows][heads * dim], without gaps.
 *
 * score_*, exp_table, context_*   as in tg_attention_t; 255 * keys * exp_table[0] < 2^31
 * mask         bits: row i sees key j if bit j % 8 of mask[i * mask_stride + j / 8] is set; every
 *              row sees a key. NULL: all keys. mask_stride 0: one row for all
 * total        0, or weights of whole steps (tinygen.operators.WeightSteps), with up and most;
 *              most << up < 2^15
 */
typedef struct {
  int32_t heads, dim;
  int32_t q_zp, k_zp, v_zp;
  int32_t score_m, score_s, score_zp;
  const uint16_t *exp_table;
  int32_t context_mult, context_frac, context_s, context_offset;
  const uint8_t *mask;
  int32_t mask_stride;
  int32_t total, up, most;
} tg_dot_product_attention_t;

/* Rows [first, last) of y; q, y and mask stand at row 0. 1 <= keys <= 65536.
 * scratch: tg_dot_product_attention_scratch(op, keys) bytes, 4-byte aligned. */
void tg_dot_product_attention_s8(const tg_dot_product_attention_t *op, const int8_t *q,
                                 const int8_t *k, const int8_t *v, int32_t first, int32_t last,
                                 int32_t keys, int8_t *y, void *scratch);
size_t tg_dot_product_attention_scratch(const tg_dot_product_attention_t *op, int32_t keys);

TG_END

#endif
