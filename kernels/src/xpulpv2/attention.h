/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts between the parts of attention, in words; P4 and S4 are P and S rounded up to words.
 *
 * q  a head: for every 4 rows     [P4] [4 rows]
 * k  a head: for every 4 keys     [4 starting values] [P4] [4 keys]
 * v  a head: for every 4 features [S4] [4 features]
 *
 * A starting value is the part of a score's zero points that belongs to the key. Features that do
 * not exist are zero in q and k. Tokens that do not exist hold any value.
 */
#ifndef TINYGEN_XPULPV2_ATTENTION_H
#define TINYGEN_XPULPV2_ATTENTION_H

#include "tinygen/attention.h"
#include "xpulpv2/tile.h"

enum { TG_PROJECT_Q, TG_PROJECT_K, TG_PROJECT_V };

static inline int32_t tg_q_head_bytes(int32_t dim, int32_t tokens) {
  return 16 * tg_tile_words(dim) * tg_tile_words(tokens);
}

static inline int32_t tg_k_head_bytes(int32_t dim, int32_t tokens) {
  return (16 + 16 * tg_tile_words(dim)) * tg_tile_words(tokens);
}

static inline int32_t tg_v_head_bytes(int32_t dim, int32_t tokens) {
  return 16 * tg_tile_words(dim) * tg_tile_words(tokens);
}

static inline int32_t tg_project_head_weights(int32_t dim, int32_t k) {
  return tg_tile_words(dim) * tg_tile_bytes(k);
}

/* Groups of four tokens [first, first + groups) of one head. w: the weights of this head; what:
 * TG_PROJECT_*; y: the head's whole buffer for `tokens` tokens. scratch as tg_linear_s8. */
void tg_project_groups(const tg_attention_t *op, const tg_linear_t *linear, const void *w, int what,
                       const int8_t *x, int32_t tokens, int32_t x_stride, int32_t first,
                       int32_t groups, void *y, void *scratch);

#endif
