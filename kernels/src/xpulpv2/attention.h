/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts between the parts of attention, in words; P4 and S4 are P and S rounded up to words.
 *
 * q  a head: for every 4 rows     [P4] [4 rows]
 * k  a head: for every 4 keys     [4 starting values] [P4] [4 keys]
 * v  a head: for every 4 features [S4] [4 features]
 *
 * A starting value is the part of a score's zero points that belongs to the key. Features that do
 * not exist are zero in q and k. One or two features stand in q and k as halfwords, less their zero
 * point, and starting values are not used. Keys that do not exist repeat the last one; other tokens
 * that do not exist hold any value.
 */
#ifndef TINYGEN_XPULPV2_ATTENTION_H
#define TINYGEN_XPULPV2_ATTENTION_H

#include "tinygen/attention.h"
#include "xpulpv2/tiles.h"

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

/* `count` groups of four tokens from group `first` on, of one head. x: those groups, as
 * tg_tile_group makes them; w: the weights of this head; what: TG_PROJECT_*; y: the head's whole
 * buffer for `tokens` tokens. */
void tg_project_groups(const tg_attention_t *op, const tg_linear_t *linear, const void *w, int what,
                       const tg_word_t *x, int32_t tokens, int32_t first, int32_t count, void *y);

/* Projections of v take the features of a head from `dim` too: fused weights, whose value_dim is
 * another one, give them a copy of the parameters. */

/* Fused weights: x itself. Up to four rows of x as a group of keys (with starting values); and a
 * group of rows, as tg_tile_group makes it, as four tokens of every group of features, which stand
 * `step` words apart. */
void tg_load_key_group(const tg_attention_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                       tg_word_t *k);
void tg_load_value_group(const tg_word_t *x, int32_t words, int32_t step, tg_word_t *v);

/* Attention of one head's query rows, with what it needs over and over. */
typedef struct {
  int32_t words, tokens, features; /* groups of four features, tokens, features of the context */
  TG_TILES_SCORES((*scores));
  int32_t narrow; /* weights have eight bits or fewer */
  int32_t last;   /* mask of the bytes of the last group of tokens that exist */
  tg_tiles_score_t score;
} tg_attend_t;

void tg_attend_prepare(tg_attend_t *a, const tg_attention_t *op, int32_t tokens);

/* Any number of query rows; q, k, v, y and scratch as in tg_attention_attend_s8. */
typedef void tg_attend_rows_t(tg_attend_t *a, const tg_attention_t *op, const void *q,
                              const void *k, const void *v, int32_t rows, int8_t *y,
                              int32_t y_stride, void *scratch);
tg_attend_rows_t tg_attend_rows;
tg_attend_rows_t tg_attend_rows_levels; /* with weights of few levels */

#endif
