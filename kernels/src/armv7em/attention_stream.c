/* SPDX-License-Identifier: Apache-2.0 */
/* Output projection head by head into int32 sums, with the tile of compact.h. */
#include "armv7em/compact.h"
#include "tinygen/attention.h"

void tg_attention_accumulate_s8(const tg_attention_t *op, const int8_t *context, int32_t rows,
                                int32_t context_stride, int32_t head, int32_t *acc, void *scratch) {
  const int32_t n = op->o.n, words = tg_round_up(op->value_dim, 4) / 2;
  const uint32_t *head_w =
      (const uint32_t *)op->o.w + (ptrdiff_t)head * tg_weight_words(n, op->value_dim);
  uint32_t *xs = scratch;
  for (int32_t i = 0, taken; i < rows; i += taken) {
    taken = tg_take(rows - i);
    const int32_t tile = tg_tile_rows(taken);
    int32_t *to[4];
    for (int32_t r = 0; r < tile; r++) {
      const ptrdiff_t row = i + (r < taken ? r : taken - 1);
      tg_expand(context + row * context_stride, op->value_dim, 0, tile, xs + r);
      to[r] = acc + row * n;
    }
    const uint32_t *w = head_w;
    for (int32_t c = 0; c < n; c += 2, w += words) {
      /* Without a second column the first is computed twice over and stored once. */
      const int32_t d = n - c == 1 ? c : c + 1;
      const int32_t b0 = head ? 0 : op->o.bias[c], b1 = head ? 0 : op->o.bias[d];
      if (tile == 4) {
        tg_acc4_t a = {b0, b1, b0, b1, b0, b1, b0, b1};
        if (head) {
          a.a00 = to[0][c], a.a01 = to[0][d], a.a10 = to[1][c], a.a11 = to[1][d];
          a.a20 = to[2][c], a.a21 = to[2][d], a.a30 = to[3][c], a.a31 = to[3][d];
        }
        a = tg_tile4(xs, w, words, a);
        to[0][d] = a.a01, to[1][d] = a.a11, to[2][d] = a.a21, to[3][d] = a.a31;
        to[0][c] = a.a00, to[1][c] = a.a10, to[2][c] = a.a20, to[3][c] = a.a30;
      } else {
        const tg_acc1_t from = head ? (tg_acc1_t){to[0][c], to[0][d]} : (tg_acc1_t){b0, b1};
        const tg_acc1_t a = tg_tile1(xs, w, words, from);
        to[0][d] = a.a1;
        to[0][c] = a.a0;
      }
    }
  }
}

size_t tg_attention_accumulate_scratch(const tg_attention_t *op, int32_t rows) {
  return tg_product_scratch(op->value_dim, rows);
}

void tg_attention_requantise_s8(const tg_attention_t *op, const int32_t *acc, int32_t rows,
                                int8_t *y, int32_t y_stride) {
  const tg_linear_t *o = &op->o;
  for (int32_t i = 0; i < rows; i++, acc += o->n, y += y_stride)
    for (int32_t j = 0; j < o->n; j++) {
      const int32_t m = o->m[j];
      const int8_t v = tg_is_fast(m, o->s)
                           ? (int8_t)tg_requant_fast(acc[j], tg_shift_up(m, o->s), o->zp)
                           : tg_requant(acc[j], m, o->s, o->zp);
      y[j] = (int8_t)(o->table ? o->table[v + 128] : v);
    }
}
