/* SPDX-License-Identifier: Apache-2.0 */
/* Four elements at a time: two bytes masked out of a word stand in the high parts of its halves, so
 * that SMLAWB and SMLAWT by a multiplier shifted up by 8 add their exact product. SSAT shifts by a
 * constant only, hence a loop for each shift that residuals of trained models have. */
#include "tinygen/add.h"
#include "armv7em/dsp.h"
#include "common/arith.h"

typedef struct {
  const int8_t *a, *b;
  int8_t *y;
  int32_t count;
} span_t;

#define FOUR(at, finish)                                                                           \
  do {                                                                                             \
    const uint32_t wa_ = tg_load32(a + (at)), wb_ = tg_load32(b + (at));                           \
    const uint32_t a13_ = wa_ & mask, a02_ = tg_mask_up8(wa_, mask);                               \
    const uint32_t b13_ = wb_ & mask, b02_ = tg_mask_up8(wb_, mask);                               \
    y[(at)] = finish(tg_smlawb(mb, b02_, tg_smlawb(ma, a02_, c)));                                 \
    y[(at) + 1] = finish(tg_smlawb(mb, b13_, tg_smlawb(ma, a13_, c)));                             \
    y[(at) + 2] = finish(tg_smlawt(mb, b02_, tg_smlawt(ma, a02_, c)));                             \
    y[(at) + 3] = finish(tg_smlawt(mb, b13_, tg_smlawt(ma, a13_, c)));                             \
  } while (0)

#define SIXTEENS(name, finish)                                                                     \
  static void name(const tg_add_t *op, span_t *span) {                                             \
    const uint32_t mask = 0xff00ff00;                                                              \
    const int32_t ma = op->ma << 8, mb = op->mb << 8, c = op->c, s = op->s;                        \
    const int8_t *a = span->a, *b = span->b;                                                       \
    int8_t *y = span->y;                                                                           \
    int32_t count = span->count;                                                                   \
    (void)s;                                                                                       \
    for (; count >= 16; count -= 16, a += 16, b += 16, y += 16) {                                  \
      FOUR(0, finish);                                                                             \
      FOUR(4, finish);                                                                             \
      FOUR(8, finish);                                                                             \
      FOUR(12, finish);                                                                            \
    }                                                                                              \
    *span = (span_t){a, b, y, count};                                                              \
  }

#define SATURATE_BY(shift)                                                                         \
  static inline int8_t finish_##shift(int32_t x) {                                                 \
    int32_t y;                                                                                     \
    __asm__("ssat %0, #8, %1, asr #" #shift : "=r"(y) : "r"(x));                                   \
    return (int8_t)y;                                                                              \
  }                                                                                                \
  SIXTEENS(add_##shift, finish_##shift)

#define FINISH_ANY(x) (int8_t)tg_ssat8((x) >> s)

SATURATE_BY(19)
SATURATE_BY(20)
SATURATE_BY(21)
SATURATE_BY(22)
SIXTEENS(add_any, FINISH_ANY)

void tg_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count, int8_t *y) {
  span_t span = {a, b, y, count};
  switch (op->s) {
  case 19:
    add_19(op, &span);
    break;
  case 20:
    add_20(op, &span);
    break;
  case 21:
    add_21(op, &span);
    break;
  case 22:
    add_22(op, &span);
    break;
  default:
    add_any(op, &span);
  }
  for (int32_t i = 0; i < span.count; i++)
    span.y[i] = tg_clamp8((span.a[i] * op->ma + span.b[i] * op->mb + op->c) >> op->s);
}
