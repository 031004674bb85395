/* SPDX-License-Identifier: Apache-2.0 */
/* The product kernels of this target: rows of 16-bit activations times strips of two columns.
 *
 * A group is 4, 2 or 1 rows (tg_group_rows): 81 rows are 20 groups of 4 and one of 1, so nothing is
 * padded. Its 16-bit values lie in pairs, one word a pair, the rows of a group side by side:
 *
 *   a        [pairs][rows] words
 *   strip8   bias0, bias1, [pairs] words of int8 (w0[i], w1[i], w0[j], w1[j]), m0, m1
 *            (TG_WEIGHT_BITS = 16, target armv7em_wide: [pairs][2] words instead, unpacked)
 *   strip16  [pairs][2] words
 *
 * One call multiplies one group by strips [b, b_end), and hands each tile of rows x 2 accumulators
 * to an epilogue. `m` is the multiplier shifted up by 32 - s, so that one SMMLAR rounds and adds
 * the zero point, exactly, for every ratio below a half; packers mark other layers by m < 0 (~m, as
 * it is), and those take the raw epilogue and C.
 */
#ifndef TINYGEN_ARMV7EM_TILES_H
#define TINYGEN_ARMV7EM_TILES_H

#include "armv7em/dsp.h"
#include "common/arith.h"
#include "tinygen/linear.h"

#ifndef TG_WEIGHT_BITS
#define TG_WEIGHT_BITS 8
#endif

enum { TG_STRIP_HEAD = 8, TG_STRIP_TAIL = 8 };

static inline int32_t tg_group_rows(int32_t left) {
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Pairs of k inputs: both k and the order in which SXTB16 gives them go by fours. */
static inline int32_t tg_pairs8(int32_t k) {
  return (k + 3) / 4 * 2;
}

static inline int32_t tg_strip_bytes(int32_t k) {
  return TG_STRIP_HEAD + TG_WEIGHT_BITS / 2 * tg_pairs8(k) + TG_STRIP_TAIL;
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
 *   context  e0 C, e1 the group's reciprocals, e2 shift, e3 bytes between rows of y
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
  tg_tiles_t *project;
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

/* Epilogue value of one accumulator for layers that are marked by m < 0. */
static inline int8_t tg_requant_marked(const tg_linear_t *op, int32_t acc, int32_t m) {
  return m < 0 ? tg_requant(acc, ~m, op->s, op->zp) : tg_requant(acc, m, 32, op->zp);
}

#endif
