/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of tiles, in assembly where the core has the instructions. */
#ifndef TINYGEN_XPULPV2_TILES_H
#define TINYGEN_XPULPV2_TILES_H

#include "xpulpv2/tile.h"

/* Four rows, interleaved [words][4], against a run of tiles. The four words of results of a tile
 * stand between_words bytes apart: rows of four channels, or, `columns`, channels of four rows. */
void tg_tiles_project(int columns, const tg_word_t *x, const void *w, int32_t words, int32_t tiles,
                      void *out, int32_t between_words, int32_t between_tiles);

/* The first of such rows: one word of results a tile, `between_tiles` bytes apart. */
void tg_tiles_row(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                  int32_t between_tiles);

/* The same for all kinds of rounding but WIDE. */
void tg_tiles_row_narrow(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                         int32_t between_tiles);

/* As tg_tiles_project for one kind of rounding; between_tiles counts from behind the four words. */
#define TG_TILES_WEIGHTS(name)                                                                     \
  void name(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,            \
            int32_t between_words, int32_t between_tiles)
TG_TILES_WEIGHTS(tg_tiles_rows_high);
TG_TILES_WEIGHTS(tg_tiles_rows_low);
TG_TILES_WEIGHTS(tg_tiles_rows_clip);
TG_TILES_WEIGHTS(tg_tiles_columns_high);
TG_TILES_WEIGHTS(tg_tiles_columns_low);
TG_TILES_WEIGHTS(tg_tiles_columns_clip);

/* Starting values of four rows, and the rounding of a score. */
typedef struct {
  int32_t row[4], m, offset, shift, limit;
} tg_tiles_score_t;

/* Four rows of q against groups of four keys: out [groups][4 rows], a word each. */
#define TG_TILES_SCORES(name)                                                                      \
  void name(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups, tg_word_t *out, \
            const tg_tiles_score_t *c)
TG_TILES_SCORES(tg_tiles_scores_high);
TG_TILES_SCORES(tg_tiles_scores_low);
TG_TILES_SCORES(tg_tiles_scores_clip);
TG_TILES_SCORES(tg_tiles_scores_wide);
TG_TILES_SCORES(tg_tiles_scores_word); /* LOW, of one word */

/* One row of such scores -> its weights: e [groups][row][high, low], and the sums of both halves.
 * table: high bytes, 256 further low ones, at the place of score 0. last: mask of the last word. */
void tg_tiles_weights(const int8_t *scores, const uint8_t *table, tg_word_t *e, int32_t before_last,
                      int32_t last, int32_t sums[2]);

/* Factors of two rows; clip8((high half of sum * r) + offset >> shift). */
typedef struct {
  int32_t r[2], offset, shift, between_rows, between_features;
} tg_tiles_context_t;

/* Two rows of weights against groups of four features; tokens, features: groups of four. */
void tg_tiles_context(const tg_word_t *e, const tg_word_t *v, int32_t tokens, int32_t features,
                      void *out, const tg_tiles_context_t *c);

/* The same where there are only one or two features; the others' results are anything. */
void tg_tiles_context_pair(const tg_word_t *e, const tg_word_t *v, int32_t tokens, int32_t features,
                           void *out, const tg_tiles_context_t *c);

#endif
