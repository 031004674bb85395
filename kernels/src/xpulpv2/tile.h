/* SPDX-License-Identifier: Apache-2.0 */
/* The 4x4 register tile: four rows against four channels, four inputs an instruction.
 *
 * Packed weights are tiles of four channels: four biases, then, for every four inputs, one word of
 * each channel, then a tg_rounding_t. All that a tile needs comes in one run of bytes, in the order
 * of its use, as post-increment loads and a DMA like it.
 */
#ifndef TINYGEN_XPULPV2_TILE_H
#define TINYGEN_XPULPV2_TILE_H

#include "tinygen/linear.h"
#include "xpulpv2/xpulp.h"

/* How the sums of a tile become int8. `offset` holds the zero point and the rounding.
 *
 * HIGH   clip8((high half of sum * m) + offset >> shift)
 * LOW    clip8(sum * m + offset >> shift), within 32 bits for every sum that x can make
 * CLIP   the same of the sum clipped to [-limit - 1, limit], beyond which results are saturated
 *        (LOW and CLIP have m - 1 in place of m: sum + sum * (m - 1) is one p.mac)
 * WIDE   with a 64-bit product: the rest
 *
 * All give the bits of the definition; the packer proves it (tinygen.targets.xpulpv2). */
enum { TG_ROUND_HIGH, TG_ROUND_LOW, TG_ROUND_CLIP, TG_ROUND_WIDE };

/* Channels that do not exist have m = 0. */
typedef struct {
  int32_t m[4], offset, shift, limit, kind;
} tg_rounding_t;

enum { TG_TILE_HEADER = 16 + 32 };

static inline int32_t tg_tile_words(int32_t k) {
  return (k + 3) / 4;
}

static inline int32_t tg_tile_bytes(int32_t k) {
  return TG_TILE_HEADER + 16 * tg_tile_words(k);
}

static inline const tg_rounding_t *tg_tile_rounding(const void *tile, int32_t words) {
  return (const tg_rounding_t *)(const void *)((const tg_word_t *)tile + 4 + 4 * words);
}

/* Four rows of `kind` WIDE, interleaved, against one tile: v[4 i + j], clamped. */
void tg_tile_wide(const tg_word_t *x, const void *tile, int32_t words, int32_t v[16]);

/* Up to four rows of x, interleaved word by word and padded with zeros: [words][4 rows]. */
void tg_tile_group(const int8_t *x, int32_t rows, int32_t x_stride, int32_t k, tg_word_t *group);

#endif
