/* SPDX-License-Identifier: Apache-2.0 */
/* The product kernels of this target: rows of 16-bit activations times strips of two columns.
 *
 * A group is 4, 2 or 1 rows (tg_group_rows): 81 rows are 20 groups of 4 and one of 1, so nothing is
 * padded. Its 16-bit values lie in pairs, one word a pair, the rows of a group side by side:
 *
 *   a        [pairs][rows] words
 *   strip8   bias0, bias1, [pairs] words of 8-bit weights, m0, m1
 *   strip16  [pairs][2] words of two 16-bit values
 *
 * The two columns of a strip8 come in one of three forms, a layer's `form`:
 *
 *   TG_JOINT  both columns in each half word, w0 + 256 w1 (of inputs i and j). SXTB16 gives column
 *             0, and the word as it is multiplies for both: its sum less column 0's is 256 times
 *             column 1's. One unpacking less; 24 bits have to hold that sum, and no half word
 *             may overflow (w1 = -128 beside w0 < 0). bias1 is bias0 + 256 times column 1's.
 *   TG_SPLIT  (w0[i], w1[i], w0[j], w1[j]): two unpackings.
 *   TG_EXACT  the same bytes, for layers whose outputs leave 32 or (q, k, v) 16 bits before they
 *             are clamped: C does it, slowly. Here m is as in tg_linear_t.
 *
 * One call multiplies one group by strips [b, b_end), and hands each tile of rows x 2 accumulators
 * to an epilogue. `m` is the multiplier shifted up by 32 - s, so that one SMMLAR rounds and adds
 * the zero point, exactly, for every ratio below a half.
 */
#ifndef TINYGEN_ARMV7EM_TILES_H
#define TINYGEN_ARMV7EM_TILES_H

#include "armv7em/dsp.h"
#include "common/arith.h"
#include "tinygen/linear.h"

enum { TG_JOINT, TG_SPLIT, TG_EXACT };
enum { TG_STRIP_HEAD = 8, TG_STRIP_TAIL = 8 };

static inline int32_t tg_group_rows(int32_t left) {
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Pairs of k inputs: both k and the order in which SXTB16 gives them go by fours. */
static inline int32_t tg_pairs8(int32_t k) {
  return (k + 3) >> 2 << 1; /* k >= 0 */
}

static inline int32_t tg_strip_bytes(int32_t k) {
  return TG_STRIP_HEAD + 4 * tg_pairs8(k) + TG_STRIP_TAIL;
}

/* Epilogues; the four values e0..e3 are theirs.
 *
 *   linear   e0 zero point, e1 bytes between rows of y; out += 2 a strip
 *   table    the same through e2 = table + 128
 *   q        e0 zero point; centred pairs, rows side by side; contiguous
 *   k        e0 zero point, e1 bytes between key pairs; strip16 of two keys, out += 8 a strip;
 *            a lone last key fills both columns
 *   v        e0 zero point, e1 bytes between strips; strip16 of two features, pairs of tokens
 *   score    e0 128 + zero point, e1 m; unsigned bytes [key][row]; returns the bytewise maximum
 *   context  e0 C, e1 the group's reciprocals, e2 bytes between rows of y; context_s is 40
 *   raw      accumulators [row][2] of the first strip, then returns
 */
typedef void tg_epilogue_t(void);

/* heads: how many ranges of strips as long as [b, b_end), each head_bytes long, follow each other;
 * out moves by head_skip between them. */
typedef uint32_t tg_tiles_t(const void *a, const void *b, const void *b_end, int32_t b_step,
                            int32_t pairs, void *out, tg_epilogue_t *epilogue, int32_t e0,
                            int32_t e1, int32_t e2, int32_t e3, int32_t heads, int32_t head_bytes,
                            int32_t head_skip);

/* What there is for groups of so many rows. */
typedef struct {
  tg_tiles_t *joint, *split;
  tg_epilogue_t *linear, *table, *q, *k, *v, *raw8;
  tg_tiles_t *attend;
  tg_epilogue_t *score, *context, *raw16;
} tg_tile_set_t;

extern const tg_tile_set_t tg_tile_sets[3];

static inline const tg_tile_set_t *tg_tile_set(int32_t rows) {
  return &tg_tile_sets[rows / 2];
}

/* One group of x, expanded: a [tg_pairs8(k)][rows]. */
void tg_expand_rows(const int8_t *x, int32_t x_stride, int32_t k, int32_t rows, uint32_t *a);

static inline tg_tiles_t *tg_tiles_of(const tg_linear_t *op, const tg_tile_set_t *set) {
  return op->form == TG_JOINT ? set->joint : set->split;
}

/* One strip through C: what the epilogues cannot finish. v [row][2]: requantised, before the table.
 */
void tg_strip_by_hand(const tg_linear_t *op, const uint32_t *a, const uint8_t *b, int32_t rows,
                      int32_t v[8]);

#endif
