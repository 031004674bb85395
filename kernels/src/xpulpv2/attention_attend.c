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
  const int32_t m = a->m;
  const tg_tile_header_t header = {.m = {m, m, m, m}};
  const tg_linear_t requant = {.s = op->score_s, .zp = op->score_zp};
  int32_t row[4] = {0}, top[4];
  for (int32_t p = 0; p < words; p++) {
#define TG_DO(i) row[i] = tg_sdotsp4(row[i], q[4 * p + i], TG_ONES);
    TG_EACH4(TG_DO)
#undef TG_DO
  }
#define TG_DO(i)                                                                                   \
  row[i] *= -op->k.zp;                                                                             \
  top[i] = (int32_t)0x80808080u;
  TG_EACH4(TG_DO)
#undef TG_DO
  for (int32_t t = 0; t < groups; t++) {
    int32_t acc[16];
    const int32_t start[4] = {k[0], k[1], k[2], k[3]};
#define TG_DO(i) acc[i] = row[(i) >> 2] + start[(i) & 3];
    TG_EACH16(TG_DO)
#undef TG_DO
    tg_mac_quad(acc, q, k + 4, words);
    k += 4 + 4 * words;
    tg_tile_requant16(&requant, &header, acc);
    tg_word_t *to = a->scores + t;
#define TG_DO(i)                                                                                   \
  {                                                                                                \
    const int32_t word = tg_pack4(acc[4 * i], acc[4 * i + 1], acc[4 * i + 2], acc[4 * i + 3]);     \
    top[i] = tg_max4(top[i], word);                                                                \
    to[i * groups] = word;                                                                         \
  }
    TG_EACH4(TG_DO)
#undef TG_DO
  }
  for (int i = 0; i < 4; i++) {
    const int32_t half = tg_max4(top[i], (int32_t)((uint32_t)top[i] >> 16));
    const int32_t most = tg_max4(half, (int32_t)((uint32_t)half >> 8)); /* in the first byte */
    max[i] = (int32_t)(TG_BYTE(most, 0) * (uint32_t)TG_ONES);
  }
}

static inline int32_t look_up(const uint8_t *table, int32_t d) {
  return tg_pack4(table[TG_BYTE(d, 0)], table[TG_BYTE(d, 1)], table[TG_BYTE(d, 2)],
                  table[TG_BYTE(d, 3)]);
}

/* Weights of one row; returns the factor of its context. */
static int32_t weights(const attend_t *a, int32_t i, int32_t max) {
  const tg_attention_t *op = a->op;
  const uint8_t *high = (const uint8_t *)op->exp_table, *low = high + 256;
  const tg_word_t *from = a->scores + i * a->groups;
  tg_word_t *e = a->e + (i >> 1) * 4 * a->groups + (i & 1) * 2;
  int32_t sum_high = 0, sum_low = 0;
  for (int32_t t = 1; t < a->groups; t++, e += 4) {
    const int32_t d = tg_sub4(max, *from++);
    const int32_t h = look_up(high, d), l = look_up(low, d);
    sum_high = tg_sdotup4(sum_high, h, TG_ONES);
    sum_low = tg_sdotup4(sum_low, l, TG_ONES);
    e[0] = h;
    e[1] = l;
  }
  const int32_t d = tg_sub4(max, *from);
  e[0] = look_up(high, d) & a->last;
  e[1] = look_up(low, d) & a->last;
  sum_high = tg_sdotup4(sum_high, e[0], TG_ONES);
  sum_low = tg_sdotup4(sum_low, e[1], TG_ONES);
  return tg_row_reciprocal((uint32_t)sum_high * 128u + (uint32_t)sum_low, op->context_mult,
                           op->context_frac, op->context_s);
}

/* sums + 128 high -> four features of one row. */
static inline __attribute__((always_inline)) int32_t normalise(const int32_t high[4],
                                                               const int32_t low[4], int32_t r,
                                                               int32_t c, int32_t s) {
  int32_t v[4];
#define TG_DO(i) v[i] = (int32_t)((uint32_t)high[i] * 128u + (uint32_t)low[i]);
  TG_EACH4(TG_DO)
#undef TG_DO
  tg_round4(v, r, r, r, r, c, s);
  return tg_pack4(v[0], v[1], v[2], v[3]);
}

static inline void store(int32_t word, int32_t features, int aligned, int8_t *y) {
  if (aligned && features == 4) {
    *(tg_word_t *)(void *)y = word;
    return;
  }
  for (int32_t j = 0; j < features; j++, word = (int32_t)((uint32_t)word >> 8))
    y[j] = (int8_t)word;
}

/* Context of two rows (the second of one is computed and dropped). */
static void context(const attend_t *a, const tg_word_t *e, const tg_word_t *v, const int32_t r[2],
                    int32_t rows, int8_t *y, int32_t y_stride) {
  const tg_attention_t *op = a->op;
  const int32_t s = op->context_s - 32;
  const int32_t c = op->context_offset;
  const int aligned = (((uintptr_t)y | (uintptr_t)y_stride) & 3) == 0;
  for (int32_t p = 0; p < op->dim; p += 4, y += 4) {
    const int32_t features = op->dim - p < 4 ? op->dim - p : 4;
    int32_t h[8] = {0}, l[8] = {0};
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
        int32_t h0, l0, h1, l1, v0, v1, v2, v3;
        TG_NEXT(h0, from);
        TG_NEXT(l0, from);
        TG_NEXT(h1, from);
        TG_NEXT(l1, from);
        TG_NEXT(v0, v);
        TG_NEXT(v1, v);
        TG_NEXT(v2, v);
        TG_NEXT(v3, v);
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
    store(normalise(h, l, r[0], c, s), features, aligned, y);
    if (rows > 1)
      store(normalise(h + 4, l + 4, r[1], c, s), features, aligned, y + y_stride);
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
