/* SPDX-License-Identifier: Apache-2.0 */
/* Seven instructions an element: 14 of a pair are 4 loads, 2 products, 2 MACs, 2 shifts, 2 clips
 * and 2 stores. a0 op, a1 a, a2 b, a3 pairs, a4 y; a5, a6, a7, t6 its ma, mb, c, s. The other half
 * is the same loop in C; portable/add.c is the whole. */
#include "tinygen/add.h"
#include "xpulpv2/insn.h"
#include "xpulpv2/xpulp.h"

/* Elements [0, 2 pairs). */
void tg_add_pairs(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t pairs, int8_t *y);
void tg_add_wide_pairs(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t pairs,
                       int8_t *y);

#if defined(TG_XPULP_INSN) || defined(__pulp__)

_Static_assert(offsetof(tg_add_t, ma) == 0 && offsetof(tg_add_t, mb) == 4 &&
                   offsetof(tg_add_t, c) == 8 && offsetof(tg_add_t, s) == 12,
               "as the assembly reads them");

/* clang-format off */
#define PAIRS(name, load, size)                                                                    \
  FUNCTION(name)                                                                                   \
  "lw a5, 0(a0)\nlw a6, 4(a0)\nlw a7, 8(a0)\nlw t6, 12(a0)\n"                                      \
  P_LOOP0_A3("1f")                                                                                 \
  P_LB("t0", "1", "a1") P_LB("t1", "1", "a1") load("t2", size, "a2") load("t3", size, "a2")        \
  "mul t0, t0, a5\nmul t1, t1, a5\n" P_MAC("t0", "t2", "a6") P_MAC("t1", "t3", "a6")               \
  P_ADDNR("t0", "a7", "t6") P_ADDNR("t1", "a7", "t6") P_CLIP8("t0") P_CLIP8("t1")                  \
  P_SB("t0", "1", "a4")                                                                            \
  "1: " P_SB("t1", "1", "a4")                                                                      \
  "ret\n"                                                                                          \
  END(name)

__asm__(PAIRS("tg_add_pairs", P_LB, "1"));
__asm__(PAIRS("tg_add_wide_pairs", P_LH, "2"));
/* clang-format on */

#else

#define PAIRS(name, type)                                                                          \
  void name(const tg_add_t *op, const int8_t *a, const type *b, int32_t pairs, int8_t *y) {        \
    for (int32_t i = 0; i < 2 * pairs; i++)                                                        \
      y[i] = (int8_t)tg_clip8(tg_add_shift(a[i] * op->ma + b[i] * op->mb, op->c, op->s));          \
  }
PAIRS(tg_add_pairs, int8_t)
PAIRS(tg_add_wide_pairs, int16_t)

#endif

/* The last of an odd number. */
static void last(const tg_add_t *op, int32_t a, int32_t b, int8_t *y) {
  *y = (int8_t)tg_clip8((a * op->ma + b * op->mb + op->c) >> op->s);
}

void tg_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count, int8_t *y) {
  if (count > 1)
    tg_add_pairs(op, a, b, count / 2, y);
  if (count & 1)
    last(op, a[count - 1], b[count - 1], y + count - 1);
}

void tg_add_wide_s8(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t count,
                    int8_t *y) {
  if (count > 1)
    tg_add_wide_pairs(op, a, b, count / 2, y);
  if (count & 1)
    last(op, a[count - 1], b[count - 1], y + count - 1);
}
