/* SPDX-License-Identifier: Apache-2.0 */
/* The 4x4 register tile: four rows against four channels, four inputs an instruction.
 *
 * Packed weights are tiles of four channels, each a header and then, for every four inputs, one
 * word of each channel: all that a tile needs comes in one run of bytes, as a DMA likes it.
 */
#ifndef TINYGEN_XPULPV2_TILE_H
#define TINYGEN_XPULPV2_TILE_H

#include "tinygen/linear.h"
#include "xpulpv2/xpulp.h"

/* m is the multiplier shifted left by 33 - s, so that the high half of a product is the result
 * doubled; ~m where that does not fit, for all four channels. Channels that do not exist are 0. */
typedef struct {
  int32_t bias[4], m[4];
} tg_tile_header_t;

static inline int32_t tg_tile_words(int32_t k) {
  return (k + 3) / 4;
}

static inline int32_t tg_tile_bytes(int32_t k) {
  return (int32_t)sizeof(tg_tile_header_t) + 16 * tg_tile_words(k);
}

/* acc[4 i + j] += a_i . w over four rows, for channel j. */
#define TG_MAC_COLUMN(j, w)                                                                        \
  acc[j] = tg_sdotsp4(acc[j], a0, w);                                                              \
  acc[4 + j] = tg_sdotsp4(acc[4 + j], a1, w);                                                      \
  acc[8 + j] = tg_sdotsp4(acc[8 + j], a2, w);                                                      \
  acc[12 + j] = tg_sdotsp4(acc[12 + j], a3, w);

/* acc[4 i + j] += x_i . w_j over `words` words; rows interleaved like channels: two pointers leave
 * enough registers. */
static inline __attribute__((always_inline)) void tg_mac_quad(int32_t acc[16], const tg_word_t *x,
                                                              const tg_word_t *w, int32_t words) {
  do {
    int32_t a0, a1, a2, a3, w0, w1, w2, w3;
    TG_NEXT(a0, x);
    TG_NEXT(a1, x);
    TG_NEXT(a2, x);
    TG_NEXT(a3, x);
    TG_NEXT(w0, w);
    TG_NEXT(w1, w);
    TG_MAC_COLUMN(0, w0)
    TG_NEXT(w2, w);
    TG_MAC_COLUMN(1, w1)
    TG_NEXT(w3, w);
    TG_MAC_COLUMN(2, w2)
    TG_MAC_COLUMN(3, w3)
  } while (--words);
}

/* One row of such a group. */
static inline __attribute__((always_inline)) void tg_mac_row(int32_t acc[4], const tg_word_t *x,
                                                             const tg_word_t *w, int32_t words) {
  do {
    const int32_t a = *x;
    const int32_t w0 = *w++, w1 = *w++, w2 = *w++, w3 = *w++;
    x += 4;
    acc[0] = tg_sdotsp4(acc[0], a, w0);
    acc[1] = tg_sdotsp4(acc[1], a, w1);
    acc[2] = tg_sdotsp4(acc[2], a, w2);
    acc[3] = tg_sdotsp4(acc[3], a, w3);
  } while (--words);
}

/* `count` accumulators of a tile without such multipliers, in place; rows of four channels. */
void tg_tile_requant_wide(const tg_tile_header_t *h, int32_t s, int32_t zp, int32_t *acc,
                          int32_t count);

/* 16 accumulators -> results, in place; rows of four channels. The doubled results, 2 zp + 1 added,
 * are halved: floor((floor(2 t) + 1) / 2) is t rounded half up. */
static inline __attribute__((always_inline)) void
tg_tile_requant16(const tg_linear_t *op, const tg_tile_header_t *h, int32_t acc[16]) {
  const int32_t m[4] = {h->m[0], h->m[1], h->m[2], h->m[3]}, offset = 2 * op->zp + 1;
  if (m[0] >= 0) {
    tg_round4(acc, m[0], m[1], m[2], m[3], offset, 1);
    tg_round4(acc + 4, m[0], m[1], m[2], m[3], offset, 1);
    tg_round4(acc + 8, m[0], m[1], m[2], m[3], offset, 1);
    tg_round4(acc + 12, m[0], m[1], m[2], m[3], offset, 1);
  } else {
    int32_t wide[16]; /* accumulators themselves must have no address */
#define TG_DO(i) wide[i] = acc[i];
    TG_EACH16(TG_DO)
#undef TG_DO
    tg_tile_requant_wide(h, op->s, op->zp, wide, 16);
#define TG_DO(i) acc[i] = wide[i];
    TG_EACH16(TG_DO)
#undef TG_DO
  }
}

/* Four accumulators of one row. */
static inline __attribute__((always_inline)) void
tg_tile_requant4(const tg_linear_t *op, const tg_tile_header_t *h, int32_t acc[4]) {
  const int32_t offset = 2 * op->zp + 1;
  if (h->m[0] >= 0) {
    tg_round4(acc, h->m[0], h->m[1], h->m[2], h->m[3], offset, 1);
  } else {
    int32_t wide[4] = {acc[0], acc[1], acc[2], acc[3]};
    tg_tile_requant_wide(h, op->s, op->zp, wide, 4);
#define TG_DO(i) acc[i] = wide[i];
    TG_EACH4(TG_DO)
#undef TG_DO
  }
}

/* Four rows, interleaved, against one tile: v[4 i + j], clamped. */
static inline __attribute__((always_inline)) void
tg_tile_4x4(const tg_linear_t *op, const tg_tile_header_t *h, const tg_word_t *x, int32_t v[16]) {
  const int32_t b[4] = {h->bias[0], h->bias[1], h->bias[2], h->bias[3]};
#define TG_DO(i) v[i] = b[(i) & 3];
  TG_EACH16(TG_DO)
#undef TG_DO
  tg_mac_quad(v, x, (const tg_word_t *)(const void *)(h + 1), tg_tile_words(op->k));
  tg_tile_requant16(op, h, v);
}

/* One row of such a group against one tile. */
static inline __attribute__((always_inline)) void
tg_tile_1x4(const tg_linear_t *op, const tg_tile_header_t *h, const tg_word_t *x, int32_t v[4]) {
#define TG_DO(i) v[i] = h->bias[i];
  TG_EACH4(TG_DO)
#undef TG_DO
  tg_mac_row(v, x, (const tg_word_t *)(const void *)(h + 1), tg_tile_words(op->k));
  tg_tile_requant4(op, h, v);
}

/* Up to four rows of x, interleaved word by word and padded with zeros: [words][4 rows]. */
void tg_tile_group(const int8_t *x, int32_t rows, int32_t x_stride, int32_t k, tg_word_t *group);

#endif
