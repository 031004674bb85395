/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of tiles, in assembly where the core has the instructions. */
#ifndef TINYGEN_XPULPV2_TILES_H
#define TINYGEN_XPULPV2_TILES_H

#include "xpulpv2/tile.h"

/* Where the results of a run of tiles go, in bytes: from one of a tile's four words to the next,
 * from tile to tile (of the asm: from behind the four words), from group to group. */
typedef struct {
  int32_t between_words, between_tiles, groups, between_groups;
} tg_tiles_out_t;

/* Groups of four rows, interleaved [groups][words][4], against a run of tiles. The four words of
 * results of a tile are rows of four channels, or, `columns`, channels of four rows. */
void tg_tiles_project(int columns, const tg_word_t *x, const void *w, int32_t words, int32_t tiles,
                      void *out, const tg_tiles_out_t *o);

/* The first of such rows: one word of results a tile, `between_tiles` bytes apart. */
void tg_tiles_row(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                  int32_t between_tiles);

/* The same for all kinds of rounding but WIDE. */
void tg_tiles_row_narrow(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                         int32_t between_tiles);

/* As tg_tiles_project for one kind of rounding; between_tiles counts from behind the four words. */
#define TG_TILES_WEIGHTS(name)                                                                     \
  void name(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,            \
            const tg_tiles_out_t *o)
TG_TILES_WEIGHTS(tg_tiles_rows_high);
TG_TILES_WEIGHTS(tg_tiles_rows_low);
TG_TILES_WEIGHTS(tg_tiles_rows_clip);
TG_TILES_WEIGHTS(tg_tiles_columns_high);
TG_TILES_WEIGHTS(tg_tiles_columns_low);
TG_TILES_WEIGHTS(tg_tiles_columns_clip);

/* Starting values of four rows, and the rounding of a score. CLIP: sums clipped to [-limit - 1,
 * limit] are exactly those that give -128 to 127, so nothing is clamped after the product; `start`
 * is the part of row[] that makes it so. */
typedef struct {
  int32_t row[4], m, offset, shift, limit, start;
} tg_tiles_score_t;

/* Four rows of q against groups of four keys: out [groups][4 rows], a word each. */
#define TG_TILES_SCORES(name)                                                                      \
  void name(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups, tg_word_t *out, \
            const tg_tiles_score_t *c)
TG_TILES_SCORES(tg_tiles_scores_high);
TG_TILES_SCORES(tg_tiles_scores_low);
TG_TILES_SCORES(tg_tiles_scores_clip);
TG_TILES_SCORES(tg_tiles_scores_wide);

/* For one or two features, see attention.h; of the groups of keys, words 4 to 7 are read. */
TG_TILES_SCORES(tg_tiles_pairs_high);
TG_TILES_SCORES(tg_tiles_pairs_low);
TG_TILES_SCORES(tg_tiles_pairs_wide);

/* One row of such scores -> its weights: e [groups][row][high, low], and the sums of both halves.
 * table: high bytes, 256 further low ones, at the place of score 0. last: mask of the last word. */
void tg_tiles_weights(const int8_t *scores, const uint8_t *table, tg_word_t *e, int32_t before_last,
                      int32_t last, int32_t sums[2]);

/* Weights of eight bits in the place of their scores [groups][before_last + 1][4 rows], and the
 * sums of all rows. table: at the place of the largest distance; last: mask of the last word. */
void tg_tiles_softmax_narrow(tg_word_t *scores, const uint8_t *table, int32_t last,
                             int32_t before_last, int32_t *sums, int32_t rows);

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

enum { TG_ATTEND_GROUPS = 3 }; /* groups of four rows whose weights exist at the same time */

/* Of weights of eight bits, groups of four rows; fields as above. */
typedef struct {
  int32_t offset, shift, between_rows, between_features, groups, between_groups;
  int32_t r[4 * TG_ATTEND_GROUPS];
} tg_tiles_context_narrow_t;

void tg_tiles_context_narrow(const tg_word_t *e, const tg_word_t *v, int32_t tokens,
                             int32_t features, void *out, const tg_tiles_context_narrow_t *c);
/* One or two features of all groups: halfwords, `between_rows` bytes from row to row. */
void tg_tiles_context_narrow_pair(const tg_word_t *e, const tg_word_t *v, int32_t tokens, void *out,
                                  const tg_tiles_context_narrow_t *c);

#endif
