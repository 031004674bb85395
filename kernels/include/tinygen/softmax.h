/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_SOFTMAX_H
#define TINYGEN_SOFTMAX_H

#include "tinygen/types.h"

TG_BEGIN

/* Softmax by itself, along any axis: row r has its `length` elements at
 * x[r / inner * length * inner + r % inner + t * inner], and y alike.
 *
 * Weights e = exp_table[max - x], L their sum, y = clamp8((e r + 2^32 offset) >> s) with the row's
 * reciprocal r of tg_attention_t's context (mult, frac, s, offset). exp_table uint16 [256], its
 * first entry full scale; length * exp_table[0] < 2^31.
 *
 * mask: bits, NULL for none: row r sees element t if bit t % 8 of mask[r % mask_rows * mask_stride
 * + t / 8] is set; what it does not see counts nowhere and becomes clamp8(offset >> s - 32). Every
 * row sees one. The bits: tinygen.operators, `Softmax`. */
typedef struct {
  int32_t length, inner;
  const uint16_t *exp_table;
  int32_t mult, frac, s, offset;
  const uint8_t *mask;
  int32_t mask_rows, mask_stride;
} tg_softmax_t;

/* Rows [first, last); x and y point at row 0, and may be the same. */
void tg_softmax_s8(const tg_softmax_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

TG_END

#endif
