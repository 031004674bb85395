/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/binary.h"
#include "common/arith.h"

/* Where row `at` of an operand begins. */
static const int8_t *row_of(const tg_pairs_t *p, const int32_t *strides, const int8_t *x,
                            int32_t at) {
  const int32_t k = at % p->dims[2], ij = at / p->dims[2];
  return x + (ptrdiff_t)(ij / p->dims[1]) * strides[0] + (ptrdiff_t)(ij % p->dims[1]) * strides[1] +
         (ptrdiff_t)k * strides[2];
}

/* Every element of rows [first, last): `result` of the operands a_ and b_. */
#define EACH(op, a, b, first, last, y, result)                                                     \
  do {                                                                                             \
    const tg_pairs_t *p_ = &(op)->pairs;                                                           \
    const int32_t step_a_ = p_->a_strides[3], step_b_ = p_->b_strides[3], width_ = p_->dims[3];    \
    int8_t *y_ = (y) + (ptrdiff_t)(first) * width_;                                                \
    for (int32_t row_ = (first); row_ < (last); row_++) {                                          \
      const int8_t *pa_ = row_of(p_, p_->a_strides, a, row_);                                      \
      const int8_t *pb_ = row_of(p_, p_->b_strides, b, row_);                                      \
      for (int32_t i_ = 0; i_ < width_; i_++, pa_ += step_a_, pb_ += step_b_) {                    \
        const int32_t a_ = *pa_, b_ = *pb_;                                                        \
        *y_++ = (result);                                                                          \
      }                                                                                            \
    }                                                                                              \
  } while (0)

void tg_mul_s8(const tg_mul_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y) {
  EACH(op, a, b, first, last, y,
       tg_requant((a_ - op->a_zp) * (b_ - op->b_zp), op->m, op->s, op->zp));
}

void tg_sum_s8(const tg_sum_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y) {
  EACH(op, a, b, first, last, y, tg_clamp8((a_ * op->ma + b_ * op->mb + op->c) >> op->s));
}

void tg_div_s8(const tg_div_t *op, const int8_t *a, const int8_t *b, int32_t first, int32_t last,
               int8_t *y) {
  const int32_t half = (int32_t)1 << (op->s - 1);
  EACH(op, a, b, first, last, y,
       tg_clamp8(op->zp + (((a_ - op->a_zp) * op->reciprocals[b_ + 128] + half) >> op->s)));
}

void tg_extreme_s8(const tg_extreme_t *op, const int8_t *a, const int8_t *b, int32_t first,
                   int32_t last, int8_t *y) {
  const int least = op->least != 0;
  EACH(op, a, b, first, last, y,
       (op->a_table[a_ + 128] > op->b_table[b_ + 128]) != least ? op->a_table[a_ + 128]
                                                                : op->b_table[b_ + 128]);
}
