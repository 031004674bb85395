/* SPDX-License-Identifier: Apache-2.0 */
/* One head at a time, its keys and values as zero-point-free halves of words; two query rows at a
 * time through scores, weights and context. A key that a row does not see has the weight 0. */
#include "tinygen/dot_product_attention.h"

#include "armv7em/dsp.h"
#include "common/arith.h"

typedef tg_dot_product_attention_t op_t;

/* Two halves, also read and written one by one. */
typedef uint32_t __attribute__((may_alias)) word_t;

static int32_t halves(int32_t count) {
  return (count + 1) / 2;
}

/* x - zp of `count` values `stride` apart, in pairs; an odd end is padded with 0. */
static void widen(const int8_t *x, ptrdiff_t stride, int32_t count, int32_t zp, word_t *to) {
  int32_t i = 0;
  for (; i + 2 <= count; i += 2, x += 2 * stride)
    *to++ = tg_pack16((uint32_t)(x[0] - zp), (uint32_t)(x[stride] - zp));
  if (i < count)
    *to = (uint32_t)(x[0] - zp) & 0xFFFF;
}

/* Two rows a by two columns b, `pairs` words each. */
static inline __attribute__((always_inline)) void dot(const word_t *a0, const word_t *a1,
                                                      const word_t *b0, const word_t *b1,
                                                      int32_t pairs, int32_t acc[4]) {
  int32_t acc00 = 0, acc01 = 0, acc10 = 0, acc11 = 0;
  for (int32_t i = 0; i < pairs; i++) {
    const uint32_t x0 = a0[i], x1 = a1[i], y0 = b0[i], y1 = b1[i];
    acc00 = tg_smlad(x0, y0, acc00);
    acc01 = tg_smlad(x0, y1, acc01);
    acc10 = tg_smlad(x1, y0, acc10);
    acc11 = tg_smlad(x1, y1, acc11);
  }
  acc[0] = acc00, acc[1] = acc01, acc[2] = acc10, acc[3] = acc11;
}

/* Of one accumulator; with the usual shift one instruction multiplies, shifts and rounds. */
static inline int16_t score(const op_t *op, int32_t acc) {
  if (op->score_s == 32)
    return (int16_t)tg_ssat8(tg_smmulr(acc, op->score_m) + op->score_zp);
  return tg_requant(acc, op->score_m, op->score_s, op->score_zp);
}

static inline int sees(const uint8_t *mask, int32_t key) {
  return mask[key >> 3] >> (key & 7) & 1;
}

/* Scores in place to weights of a row, which fill its words; returns their sum. */
static uint32_t weigh(const op_t *op, const uint8_t *mask, int32_t keys, int16_t *row) {
  int32_t max = -128;
  uint32_t total = 0;
  uint16_t *weights = (uint16_t *)row;
  for (int32_t j = 0; j < keys; j++) {
    const int32_t score = mask && !sees(mask, j) ? -128 : row[j];
    max = score > max ? score : max;
  }
  for (int32_t j = 0; j < keys; j++) {
    const int32_t below = max - row[j];
    const uint32_t e = op->exp_table[below < 0 ? 0 : below];
    weights[j] = (uint16_t)(mask && !sees(mask, j) ? 0 : e);
    total += weights[j];
  }
  if (keys & 1)
    weights[keys] = 0;
  return total;
}

/* Weights to whole steps; returns what their sum counts as. */
static uint32_t in_steps(const op_t *op, uint16_t *weights, int32_t keys, uint32_t total) {
  const int32_t z = __builtin_clz(total), up = op->up, shift = 39 - z;
  const uint32_t factor =
      (tg_reciprocal(total, z) * (uint32_t)op->total + (UINT32_C(1) << (up + 7))) >> (up + 8);
  const uint64_t half = UINT64_C(1) << (shift - 1);
  for (int32_t j = 0; j < keys; j++) {
    const uint32_t n = (uint32_t)(((uint64_t)weights[j] * factor + half) >> shift);
    weights[j] = (uint16_t)((n < (uint32_t)op->most ? n : (uint32_t)op->most) << up);
  }
  return (uint32_t)op->total;
}

void tg_dot_product_attention_s8(const tg_dot_product_attention_t *op, const int8_t *q,
                                 const int8_t *k, const int8_t *v, int32_t first, int32_t last,
                                 int32_t keys, int8_t *y, void *scratch) {
  const int32_t dim = op->dim, width = op->heads * dim, deep = halves(dim), wide = halves(keys);
  word_t *ks = scratch, *vs = ks + keys * deep;
  word_t *qs = vs + dim * wide, *weights = qs + 2 * deep;
  int32_t acc[4], reciprocals[2];
  for (int32_t h = 0; first < last && h < op->heads; h++, q += dim, k += dim, v += dim, y += dim) {
    for (int32_t j = 0; j < keys; j++)
      widen(k + (ptrdiff_t)j * width, 1, dim, op->k_zp, ks + j * deep);
    for (int32_t p = 0; p < dim; p++)
      widen(v + p, width, keys, op->v_zp, vs + p * wide);
    for (int32_t i = first; i < last; i += 2) {
      /* At an odd end the second row repeats the first, and the second column too. */
      const int32_t rows = last - i > 1 ? 2 : 1;
      for (int32_t r = 0; r < rows; r++)
        widen(q + (ptrdiff_t)(i + r) * width, 1, dim, op->q_zp, qs + r * deep);
      const word_t *q1 = rows > 1 ? qs + deep : qs;
      int16_t *s0 = (int16_t *)weights, *s1 = (int16_t *)(weights + (rows > 1 ? wide : 0));
      for (int32_t j = 0; j < keys; j += 2) {
        const int32_t next = keys - j > 1 ? j + 1 : j;
        dot(qs, q1, ks + j * deep, ks + next * deep, deep, acc);
        s0[j] = score(op, acc[0]);
        s0[next] = score(op, acc[1]);
        s1[j] = score(op, acc[2]);
        s1[next] = score(op, acc[3]);
      }
      for (int32_t r = 0; r < rows; r++) {
        const uint8_t *mask = op->mask ? op->mask + (ptrdiff_t)(i + r) * op->mask_stride : NULL;
        word_t *row = weights + r * wide;
        uint32_t total = weigh(op, mask, keys, (int16_t *)row);
        if (op->total)
          total = in_steps(op, (uint16_t *)row, keys, total);
        reciprocals[r] =
            tg_row_reciprocal(total, op->context_mult, op->context_frac, op->context_s);
      }
      const word_t *w1 = rows > 1 ? weights + wide : weights;
      for (int32_t p = 0; p < dim; p += 2) {
        const int32_t columns = dim - p > 1 ? 2 : 1;
        const word_t *v0 = vs + p * wide, *v1 = columns > 1 ? v0 + wide : v0;
        dot(weights, w1, v0, v1, wide, acc);
        for (int32_t r = 0; r < rows; r++)
          for (int32_t c = 0; c < columns; c++)
            y[(ptrdiff_t)(i + r) * width + p + c] =
                tg_normalise(acc[2 * r + c], reciprocals[r], op->context_offset, op->context_s);
      }
    }
  }
}

size_t tg_dot_product_attention_scratch(const tg_dot_product_attention_t *op, int32_t keys) {
  const int32_t deep = halves(op->dim), wide = halves(keys);
  return 4 * (size_t)(keys * deep + op->dim * wide + 2 * deep + 2 * wide);
}
