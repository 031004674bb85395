/* SPDX-License-Identifier: Apache-2.0 */
/* A register tile of five rows and four channels, for layers of one to five tokens.
 *
 * With so little work, code that comes to the caches counts as much as the work itself: one short
 * function makes all projections, whatever their results' places are. Rows are interleaved word by
 * word, [words][5 rows].
 */
#ifndef TINYGEN_XPULPV2_FEW_H
#define TINYGEN_XPULPV2_FEW_H

#include "xpulpv2/tile.h"

enum { TG_FEW = 5, TG_FEW_KEYS = 8 }; /* rows of a tile; room for keys, a multiple of four */

/* Where results go, in bytes from one to the next; rows: how many of the five are stored. */
typedef struct {
  int32_t rows, between_channels, between_rows, between_tiles;
} tg_few_out_t;

/* Five rows against packed tiles (tile.h) of any kind of rounding but WIDE. */
void tg_few_project(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                    const tg_few_out_t *o);

/* Starting values of rows and keys, and the rounding as in tile.h; not WIDE. */
typedef struct {
  int32_t row[TG_FEW], key[TG_FEW], m, offset, shift, limit, kind;
} tg_few_score_t;

/* Five rows of q against `keys` of k, both interleaved: out int8 [5][TG_FEW_KEYS]. */
void tg_few_scores(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t keys, int8_t *out,
                   const tg_few_score_t *c);

/* A row's weights of eight keys: high bytes, then low ones (see attention_attend.c), zero where
 * there is no key; r: its factor. */
typedef struct {
  int32_t high[2], low[2], r;
} tg_few_weights_t;

/* wide: weights have low bytes. */
typedef struct {
  int32_t offset, shift, wide;
} tg_few_context_t;

/* Context of `rows` rows: v [features][8 keys], four features a tile; out [tiles][5 rows], a word
 * of four features each: interleaved again, for the output projection. */
void tg_few_context(const tg_few_weights_t *e, const tg_word_t *v, int32_t tiles, int32_t rows,
                    tg_word_t *out, const tg_few_context_t *c);

#endif
