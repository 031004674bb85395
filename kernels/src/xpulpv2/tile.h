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

/* acc[4 i + j] += x_i . w_j over `words` words; w interleaved, rows apart. */
static inline __attribute__((always_inline)) void
tg_mac_rows(int32_t acc[16], const tg_word_t *x0, const tg_word_t *x1, const tg_word_t *x2,
            const tg_word_t *x3, const tg_word_t *w, int32_t words) {
  do {
    const int32_t w0 = *w++, w1 = *w++, w2 = *w++, w3 = *w++;
    const int32_t a0 = *x0++, a1 = *x1++, a2 = *x2++, a3 = *x3++;
    acc[0] = tg_sdotsp4(acc[0], a0, w0);
    acc[1] = tg_sdotsp4(acc[1], a0, w1);
    acc[2] = tg_sdotsp4(acc[2], a0, w2);
    acc[3] = tg_sdotsp4(acc[3], a0, w3);
    acc[4] = tg_sdotsp4(acc[4], a1, w0);
    acc[5] = tg_sdotsp4(acc[5], a1, w1);
    acc[6] = tg_sdotsp4(acc[6], a1, w2);
    acc[7] = tg_sdotsp4(acc[7], a1, w3);
    acc[8] = tg_sdotsp4(acc[8], a2, w0);
    acc[9] = tg_sdotsp4(acc[9], a2, w1);
    acc[10] = tg_sdotsp4(acc[10], a2, w2);
    acc[11] = tg_sdotsp4(acc[11], a2, w3);
    acc[12] = tg_sdotsp4(acc[12], a3, w0);
    acc[13] = tg_sdotsp4(acc[13], a3, w1);
    acc[14] = tg_sdotsp4(acc[14], a3, w2);
    acc[15] = tg_sdotsp4(acc[15], a3, w3);
  } while (--words);
}

/* The same with rows interleaved like channels. */
static inline __attribute__((always_inline)) void tg_mac_quad(int32_t acc[16], const tg_word_t *x,
                                                              const tg_word_t *w, int32_t words) {
  do {
    const int32_t w0 = *w++, w1 = *w++, w2 = *w++, w3 = *w++;
    const int32_t a0 = *x++, a1 = *x++, a2 = *x++, a3 = *x++;
    acc[0] = tg_sdotsp4(acc[0], a0, w0);
    acc[1] = tg_sdotsp4(acc[1], a0, w1);
    acc[2] = tg_sdotsp4(acc[2], a0, w2);
    acc[3] = tg_sdotsp4(acc[3], a0, w3);
    acc[4] = tg_sdotsp4(acc[4], a1, w0);
    acc[5] = tg_sdotsp4(acc[5], a1, w1);
    acc[6] = tg_sdotsp4(acc[6], a1, w2);
    acc[7] = tg_sdotsp4(acc[7], a1, w3);
    acc[8] = tg_sdotsp4(acc[8], a2, w0);
    acc[9] = tg_sdotsp4(acc[9], a2, w1);
    acc[10] = tg_sdotsp4(acc[10], a2, w2);
    acc[11] = tg_sdotsp4(acc[11], a2, w3);
    acc[12] = tg_sdotsp4(acc[12], a3, w0);
    acc[13] = tg_sdotsp4(acc[13], a3, w1);
    acc[14] = tg_sdotsp4(acc[14], a3, w2);
    acc[15] = tg_sdotsp4(acc[15], a3, w3);
  } while (--words);
}

/* One row. */
static inline __attribute__((always_inline)) void tg_mac_row(int32_t acc[4], const tg_word_t *x,
                                                             const tg_word_t *w, int32_t words) {
  do {
    const int32_t a = *x++;
    const int32_t w0 = *w++, w1 = *w++, w2 = *w++, w3 = *w++;
    acc[0] = tg_sdotsp4(acc[0], a, w0);
    acc[1] = tg_sdotsp4(acc[1], a, w1);
    acc[2] = tg_sdotsp4(acc[2], a, w2);
    acc[3] = tg_sdotsp4(acc[3], a, w3);
  } while (--words);
}

/* Half of the doubled result, rounded, and the zero point: floor((floor(2 t) + 1) / 2) is t rounded
 * half up. offset = 2 zp + 1. */
static inline __attribute__((always_inline)) int32_t tg_tile_round(int32_t acc, int32_t m,
                                                                   int32_t offset) {
  return tg_clip8(tg_add_shift(tg_mulh(acc, m), offset, 1));
}

/* `count` accumulators of a tile without such multipliers, in place; rows of four channels. */
void tg_tile_requant_wide(const tg_tile_header_t *h, int32_t s, int32_t zp, int32_t *acc,
                          int32_t count);

/* 16 accumulators -> results, in place; rows of four channels. */
static inline __attribute__((always_inline)) void
tg_tile_requant16(const tg_linear_t *op, const tg_tile_header_t *h, int32_t acc[16]) {
  const int32_t m[4] = {h->m[0], h->m[1], h->m[2], h->m[3]}, offset = 2 * op->zp + 1;
  if (m[0] >= 0) {
#define TG_DO(i) acc[i] = tg_tile_round(acc[i], m[(i) & 3], offset);
    TG_EACH16(TG_DO)
#undef TG_DO
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
#define TG_DO(i) acc[i] = tg_tile_round(acc[i], h->m[i], offset);
    TG_EACH4(TG_DO)
#undef TG_DO
  } else {
    int32_t wide[4] = {acc[0], acc[1], acc[2], acc[3]};
    tg_tile_requant_wide(h, op->s, op->zp, wide, 4);
#define TG_DO(i) acc[i] = wide[i];
    TG_EACH4(TG_DO)
#undef TG_DO
  }
}

/* Four rows of x against one tile: v[4 i + j], clamped. x words aligned; tails of k are padded. */
static inline __attribute__((always_inline)) void tg_tile_4x4(const tg_linear_t *op,
                                                              const tg_tile_header_t *h,
                                                              const int8_t *const x[4],
                                                              int32_t v[16]) {
  const int32_t b[4] = {h->bias[0], h->bias[1], h->bias[2], h->bias[3]};
#define TG_DO(i) v[i] = b[(i) & 3];
  TG_EACH16(TG_DO)
#undef TG_DO
  tg_mac_rows(v, (const tg_word_t *)(const void *)x[0], (const tg_word_t *)(const void *)x[1],
              (const tg_word_t *)(const void *)x[2], (const tg_word_t *)(const void *)x[3],
              (const tg_word_t *)(const void *)(h + 1), tg_tile_words(op->k));
  tg_tile_requant16(op, h, v);
}

/* One row of x against one tile. */
static inline __attribute__((always_inline)) void
tg_tile_1x4(const tg_linear_t *op, const tg_tile_header_t *h, const int8_t *x, int32_t v[4]) {
#define TG_DO(i) v[i] = h->bias[i];
  TG_EACH4(TG_DO)
#undef TG_DO
  tg_mac_row(v, (const tg_word_t *)(const void *)x, (const tg_word_t *)(const void *)(h + 1),
             tg_tile_words(op->k));
  tg_tile_requant4(op, h, v);
}

/* Rows of x that word loads can read: x itself where it is aligned and k is whole words, else
 * copies in `scratch` (4 rows of whole words). Fewer than four rows repeat the last. */
static inline void tg_tile_rows(const tg_linear_t *op, const int8_t *x, int32_t rows,
                                int32_t x_stride, void *scratch, const int8_t *out[4]) {
  const int32_t padded = 4 * tg_tile_words(op->k);
  const int direct = (((uintptr_t)x | (uintptr_t)x_stride | (uintptr_t)op->k) & 3) == 0;
  for (int32_t i = 0; i < 4; i++) {
    const int32_t row = i < rows ? i : rows - 1;
    const int8_t *from = x + (ptrdiff_t)row * x_stride;
    if (!direct && i < rows) {
      int8_t *to = (int8_t *)scratch + i * padded;
      for (int32_t p = 0; p < op->k; p++)
        to[p] = from[p];
      for (int32_t p = op->k; p < padded; p++)
        to[p] = 0;
    }
    out[i] = direct ? from : (int8_t *)scratch + row * padded;
  }
}

#endif
