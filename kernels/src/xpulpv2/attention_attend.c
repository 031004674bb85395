/* SPDX-License-Identifier: Apache-2.0 */
/* Four query rows at a time: their scores and weights are all that ever exists of the map.
 *
 * Weights of 15 bits go as two bytes, the high eight and the low seven bits, so that both sums run
 * on four tokens an instruction: sum e v = 128 sum high v + sum low v. The exponent table comes in
 * that form: 256 high bytes, then 256 low ones (tinygen.targets.xpulpv2).
 */
#include "xpulpv2/attention.h"

/* What a call needs over and over. */
typedef struct {
  const tg_attention_t *op;
  int32_t groups;    /* of four tokens */
  int32_t last;      /* mask of the bytes of the last group that exist */
  int32_t m;         /* of a score, as in a tile's header */
  tg_word_t *scores; /* [4 rows][groups] */
  tg_word_t *e;      /* [2 pairs of rows][groups][row][high, low] */
} attend_t;

/* Scores of four rows; max[i] gets the row's maximum in all four bytes. */
static void scores(const attend_t *a, const tg_word_t *q, const tg_word_t *k, int32_t max[4]) {
  const tg_attention_t *op = a->op;
  const int32_t words = tg_tile_words(op->dim), groups = a->groups;
  const int32_t m = a->m, offset = 2 * op->score_zp + 1;
  int32_t row[4], top[4];
  for (int i = 0; i < 4; i++) {
    int32_t sum = 0;
    for (int32_t p = 0; p < words; p++)
      sum = tg_sdotsp4(sum, q[4 * p + i], TG_ONES);
    row[i] = -op->k.zp * sum;
    top[i] = (int32_t)0x80808080u;
  }
  for (int32_t t = 0; t < groups; t++) {
    int32_t acc[16];
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++)
        acc[4 * i + j] = row[i] + k[j];
    tg_mac_quad(acc, q, k + 4, words);
    k += 4 + 4 * words;
    if (m >= 0) {
      for (int i = 0; i < 16; i++)
        acc[i] = tg_tile_round(acc[i], m, offset);
    } else {
      for (int i = 0; i < 16; i++)
        acc[i] = tg_requant(acc[i], ~m, op->score_s, op->score_zp);
    }
    const int32_t mask = t == groups - 1 ? a->last : -1;
    for (int i = 0; i < 4; i++) {
      int32_t word = tg_pack4(acc[4 * i], acc[4 * i + 1], acc[4 * i + 2], acc[4 * i + 3]);
      word = (word & mask) | ((int32_t)0x80808080u & ~mask);
      top[i] = tg_max4(top[i], word);
      a->scores[i * groups + t] = word;
    }
  }
  for (int i = 0; i < 4; i++) {
    int32_t most = tg_max4(top[i], (int32_t)((uint32_t)top[i] >> 16 | (uint32_t)top[i] << 16));
    most = tg_max4(most, (int32_t)((uint32_t)most >> 8 | (uint32_t)most << 24));
    max[i] = most;
  }
}

/* Weights of one row; returns the factor of its context. */
static int32_t weights(const attend_t *a, int32_t i, int32_t max) {
  const tg_attention_t *op = a->op;
  const uint8_t *high = (const uint8_t *)op->exp_table, *low = high + 256;
  const tg_word_t *from = a->scores + i * a->groups;
  tg_word_t *e = a->e + (i >> 1) * 4 * a->groups + (i & 1) * 2;
  int32_t sum_high = 0, sum_low = 0;
  for (int32_t t = 0; t < a->groups; t++, e += 4) {
    const int32_t d = tg_sub4(max, *from++);
    const uint32_t d0 = TG_BYTE(d, 0), d1 = TG_BYTE(d, 1), d2 = TG_BYTE(d, 2), d3 = TG_BYTE(d, 3);
    int32_t h = tg_pack4(high[d0], high[d1], high[d2], high[d3]);
    int32_t l = tg_pack4(low[d0], low[d1], low[d2], low[d3]);
    if (t == a->groups - 1) {
      h &= a->last;
      l &= a->last;
    }
    sum_high = tg_sdotup4(sum_high, h, TG_ONES);
    sum_low = tg_sdotup4(sum_low, l, TG_ONES);
    e[0] = h;
    e[1] = l;
  }
  return tg_row_reciprocal((uint32_t)sum_high * 128u + (uint32_t)sum_low, op->context_mult,
                           op->context_frac, op->context_s);
}

static inline int32_t normalise(int32_t high, int32_t low, int32_t r, int32_t c, int32_t s) {
  const int32_t acc = (int32_t)((uint32_t)high * 128u + (uint32_t)low);
  return tg_clip8(tg_add_shift(tg_mulh(acc, r), c, s));
}

static inline void store(const int32_t *y4, int32_t features, int aligned, int8_t *y) {
  if (aligned && features == 4) {
    *(tg_word_t *)(void *)y = tg_pack4(y4[0], y4[1], y4[2], y4[3]);
    return;
  }
  for (int32_t j = 0; j < features; j++)
    y[j] = (int8_t)y4[j];
}

/* Context of two rows (the second of one is computed and dropped). */
static void context(const attend_t *a, const tg_word_t *e, const tg_word_t *v, const int32_t r[2],
                    int32_t rows, int8_t *y, int32_t y_stride) {
  const tg_attention_t *op = a->op;
  const int32_t s = op->context_s - 32; /* the low half of the product never rounds up: s >= 33 */
  const int32_t c = op->context_zp * (1 << s) + (1 << (s - 1));
  const int aligned = (((uintptr_t)y | (uintptr_t)y_stride) & 3) == 0;
  for (int32_t p = 0; p < op->dim; p += 4, y += 4) {
    const int32_t features = op->dim - p < 4 ? op->dim - p : 4;
    int32_t h[8] = {0}, l[8] = {0}, out[8];
    const tg_word_t *from = e;
    int32_t t = a->groups;
    if (features <= 2) {
      do {
        const int32_t h0 = *from++, l0 = *from++, h1 = *from++, l1 = *from++;
        const int32_t v0 = v[0], v1 = v[1];
        v += 4;
        h[0] = tg_sdotusp4(h[0], h0, v0);
        l[0] = tg_sdotusp4(l[0], l0, v0);
        h[1] = tg_sdotusp4(h[1], h0, v1);
        l[1] = tg_sdotusp4(l[1], l0, v1);
        h[4] = tg_sdotusp4(h[4], h1, v0);
        l[4] = tg_sdotusp4(l[4], l1, v0);
        h[5] = tg_sdotusp4(h[5], h1, v1);
        l[5] = tg_sdotusp4(l[5], l1, v1);
      } while (--t);
    } else {
      do {
        const int32_t h0 = *from++, l0 = *from++, h1 = *from++, l1 = *from++;
        const int32_t v0 = *v++, v1 = *v++, v2 = *v++, v3 = *v++;
        h[0] = tg_sdotusp4(h[0], h0, v0);
        l[0] = tg_sdotusp4(l[0], l0, v0);
        h[1] = tg_sdotusp4(h[1], h0, v1);
        l[1] = tg_sdotusp4(l[1], l0, v1);
        h[2] = tg_sdotusp4(h[2], h0, v2);
        l[2] = tg_sdotusp4(l[2], l0, v2);
        h[3] = tg_sdotusp4(h[3], h0, v3);
        l[3] = tg_sdotusp4(l[3], l0, v3);
        h[4] = tg_sdotusp4(h[4], h1, v0);
        l[4] = tg_sdotusp4(l[4], l1, v0);
        h[5] = tg_sdotusp4(h[5], h1, v1);
        l[5] = tg_sdotusp4(l[5], l1, v1);
        h[6] = tg_sdotusp4(h[6], h1, v2);
        l[6] = tg_sdotusp4(l[6], l1, v2);
        h[7] = tg_sdotusp4(h[7], h1, v3);
        l[7] = tg_sdotusp4(l[7], l1, v3);
      } while (--t);
    }
    for (int i = 0; i < 8; i++)
      out[i] = normalise(h[i], l[i], r[i >> 2], c, s);
    store(out, features, aligned, y);
    if (rows > 1)
      store(out + 4, features, aligned, y + y_stride);
  }
}

void tg_attention_attend_s8(const tg_attention_t *op, const void *q, const void *k, const void *v,
                            int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride,
                            void *scratch) {
  attend_t a = {.op = op, .groups = tg_tile_words(tokens), .last = -1, .m = ~op->score_m};
  a.scores = scratch;
  a.e = a.scores + 4 * a.groups;
  if (tokens & 3)
    a.last = (1 << 8 * (tokens & 3)) - 1;
  if (op->score_s > 2 && op->score_m <= INT32_MAX >> (33 - op->score_s))
    a.m = op->score_m << (33 - op->score_s);
  const int32_t q_words = 4 * tg_tile_words(op->dim);
  for (int32_t i = 0; i < rows; i += 4) {
    const int32_t here = rows - i < 4 ? rows - i : 4;
    int32_t max[4], r[4] = {0};
    scores(&a, (const tg_word_t *)q + (i >> 2) * q_words, k, max);
    for (int32_t j = 0; j < here; j++)
      r[j] = weights(&a, j, max[j]);
    int8_t *out = y + (ptrdiff_t)i * y_stride;
    if (here & 1) /* a row that is not there must not be read uninitialised */
      for (int32_t t = 0; t < a.groups; t++)
        a.e[(here >> 1) * 4 * a.groups + 4 * t + 2] = a.e[(here >> 1) * 4 * a.groups + 4 * t + 3] =
            0;
    context(&a, a.e, v, r, here, out, y_stride);
    if (here > 2)
      context(&a, a.e + 4 * a.groups, v, r + 2, here - 2, out + 2 * (ptrdiff_t)y_stride, y_stride);
  }
}

size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens) {
  (void)op;
  (void)rows;
  return 48u * (size_t)tg_tile_words(tokens);
}
