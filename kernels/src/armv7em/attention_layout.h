/* SPDX-License-Identifier: Apache-2.0 */
/* Where q, k and v lie: 16 bits each, q and k without their zero points, as tiles.h wants its
 * operands. P features, T tokens, rounded up to pairs.
 *
 *   q  [head][group][P/2][rows of the group] words of two features
 *   k  [head][T/2][P/2][2 keys] words of two features; a lone last key stands twice
 *   v  [head][P/2][T/2][2 features] words of two tokens
 */
#ifndef TINYGEN_ARMV7EM_ATTENTION_LAYOUT_H
#define TINYGEN_ARMV7EM_ATTENTION_LAYOUT_H

#include "armv7em/tiles.h"
#include "tinygen/attention.h"

static inline int32_t tg_halves(int32_t x) {
  return (x + 1) >> 1; /* x >= 0 */
}

static inline int32_t tg_q_head(const tg_attention_t *op, int32_t tokens) {
  return 4 * tg_halves(op->dim) * tokens;
}

static inline int32_t tg_k_head(const tg_attention_t *op, int32_t tokens) {
  return 8 * tg_halves(op->dim) * tg_halves(tokens);
}

static inline int32_t tg_v_head(const tg_attention_t *op, int32_t tokens) {
  return 8 * tg_halves(op->value_dim) * tg_halves(tokens);
}

#endif
