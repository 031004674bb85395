/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of up to 128 features: n r fits 32 bits there, so that t is x (E r) - sum r, one p.mac, and
 * a shift: ten instructions an element. Longer rows: t is the rounded high half of (n << up) times
 * (r << 32 - k + up), see armv7em/layernorm.c; thirteen.
 *
 * a0 x, a1 y, a2 gamma, a3 how often, a4 beta, a5 row; a6, a7, t6, a5 its factor, start, shift or
 * scale, s. 20 of a pair are 6 loads, 2 copies, 4 MACs, 4 shifts, 2 clips and 2 stores. The other
 * half is the same loops in C; portable/layernorm.c is the whole.
 */
#include "tinygen/layernorm.h"
#include "common/newton.h"
#include "xpulpv2/insn.h"
#include "xpulpv2/xpulp.h"

enum { FEATURES = 128, SHIFT = 24 }; /* n r + 2^(SHIFT - 1) < 2^31 up to these */
enum { LONG = 16384 };               /* t < 2^15 up to it */

/* t = (x factor + start) >> shift; y = clip8((t gamma + beta) >> s) */
typedef struct {
  int32_t factor, start, shift, s;
} row_t;

/* Elements [0, 2 pairs) of a short row. */
void tg_layernorm_pairs(const int8_t *x, int8_t *y, const int16_t *gamma, int32_t pairs,
                        const int32_t *beta, const row_t *row);

/* t = high half of (x factor + start) scale, rounded; y as above */
typedef struct {
  int32_t factor, start, scale, s;
} long_row_t;

void tg_layernorm_long(const int8_t *x, int8_t *y, const int16_t *gamma, int32_t count,
                       const int32_t *beta, const long_row_t *row);

#if defined(TG_XPULP_INSN) || defined(__pulp__)

/* clang-format off */
__asm__(FUNCTION("tg_layernorm_pairs")
  "lw a6, 0(a5)\nlw a7, 4(a5)\nlw t6, 8(a5)\nlw a5, 12(a5)\n"
  P_LOOP0_A3("1f")
  P_LB("t0", "1", "a0") P_LB("t1", "1", "a0") P_MOVE("t2", "a7") P_MOVE("t3", "a7")
  P_MAC("t2", "t0", "a6") P_MAC("t3", "t1", "a6") P_LH("t0", "2", "a2") P_LH("t1", "2", "a2")
  "sra t2, t2, t6\nsra t3, t3, t6\n" P_LW("t4", "4", "a4") P_LW("t5", "4", "a4")
  P_MAC("t4", "t2", "t0") P_MAC("t5", "t3", "t1") "sra t4, t4, a5\nsra t5, t5, a5\n"
  P_CLIP8("t4") P_CLIP8("t5") P_SB("t4", "1", "a1")
  "1: " P_SB("t5", "1", "a1")
  "ret\n"
  END("tg_layernorm_pairs"));

__asm__(FUNCTION("tg_layernorm_long")
  "lw a6, 0(a5)\nlw a7, 4(a5)\nlw t6, 8(a5)\nlw a5, 12(a5)\n"
  P_LOOP0_A3("1f")
  P_LB("t0", "1", "a0") P_MOVE("t1", "a7") P_MAC("t1", "t0", "a6") P_LH("t4", "2", "a2")
  "mulh t2, t1, t6\nmul t3, t1, t6\n" P_LW("t5", "4", "a4") "srli t3, t3, 31\n"
  P_ADD("t2", "t2", "t3") P_MAC("t5", "t2", "t4") "sra t5, t5, a5\n" P_CLIP8("t5")
  "1: " P_SB("t5", "1", "a1")
  "ret\n"
  END("tg_layernorm_long"));
/* clang-format on */

#else

void tg_layernorm_pairs(const int8_t *x, int8_t *y, const int16_t *gamma, int32_t pairs,
                        const int32_t *beta, const row_t *row) {
  for (int32_t e = 0; e < 2 * pairs; e++) {
    const uint32_t nr = (uint32_t)x[e] * (uint32_t)row->factor + (uint32_t)row->start;
    y[e] = (int8_t)tg_clip8((((int32_t)nr >> row->shift) * gamma[e] + beta[e]) >> row->s);
  }
}

void tg_layernorm_long(const int8_t *x, int8_t *y, const int16_t *gamma, int32_t count,
                       const int32_t *beta, const long_row_t *row) {
  for (int32_t e = 0; e < count; e++) {
    const int32_t n = (int32_t)((uint32_t)x[e] * (uint32_t)row->factor + (uint32_t)row->start);
    const int32_t t = (int32_t)(((int64_t)n * row->scale + ((int64_t)1 << 31)) >> 32);
    y[e] = (int8_t)tg_clip8((t * gamma[e] + beta[e]) >> row->s);
  }
}

#endif

typedef struct {
  int32_t sum;
  uint32_t squares;
} sums_t;

static sums_t sums_of(const int8_t *x, int32_t features) {
  int32_t sum = 0, squares = 0, left = features;
  if (((uintptr_t)x & 3) == 0) {
    const tg_word_t *word = (const tg_word_t *)(const void *)x;
    for (; left >= 4; left -= 4) {
      const int32_t w = *word++;
      sum = tg_sdotsp4(sum, w, TG_ONES);
      squares = tg_sdotsp4(squares, w, w);
    }
    x = (const int8_t *)word;
  }
  for (; left; left--, x++) {
    sum += *x;
    squares += *x * *x;
  }
  return (sums_t){sum, (uint32_t)squares};
}

void tg_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int32_t x_stride,
                     int8_t *y, int32_t y_stride) {
  const int32_t features = op->features;
  for (int32_t i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    const sums_t sums = sums_of(x, features);
    /* E sum(x^2) - sum(x)^2 >= 0 (Cauchy-Schwarz) and eps >= 1: a constant row gives eps. */
    const uint64_t variance = (uint64_t)(uint32_t)features * sums.squares -
                              (uint64_t)((int64_t)sums.sum * sums.sum) + (uint64_t)op->eps;
    const int32_t zeros = 64 - tg_bit_length64(variance), e4 = 16 - zeros / 2;
    const uint32_t d = (uint32_t)(variance << (zeros & ~1) >> 32); /* in [2^30, 2^32) */
    const int32_t r = (int32_t)tg_newton_inverse_sqrt(d), shift = 31 + e4 - op->frac;
    int32_t e = 0;
    if (features <= FEATURES && shift <= SHIFT) {
      const uint32_t start = (1u << (shift - 1)) - (uint32_t)sums.sum * (uint32_t)r;
      const row_t row = {features * r, (int32_t)start, shift, op->s};
      if (features > 1)
        tg_layernorm_pairs(x, y, op->gamma, features / 2, op->beta, &row);
      e = features & ~1;
    } else if (shift <= 32 && features <= LONG) {
      const int32_t less = 17 - shift, up = less & ~(less >> 31); /* max(0, 17 - shift) */
      const uint32_t start = 0u - ((uint32_t)sums.sum << up);
      const uint32_t scale = (uint32_t)r << (32 - shift - up);
      const long_row_t row = {(int32_t)((uint32_t)features << up), (int32_t)start, (int32_t)scale,
                              op->s};
      tg_layernorm_long(x, y, op->gamma, features, op->beta, &row);
      e = features;
    }
    const int64_t half = (int64_t)1 << (shift - 1);
    for (; e < features; e++) {
      const int32_t n = features * x[e] - sums.sum;
      const int32_t t = (int32_t)(((int64_t)n * r + half) >> shift); /* 16 bits */
      y[e] = (int8_t)tg_clip8((t * op->gamma[e] + op->beta[e]) >> op->s);
    }
  }
}
