/* SPDX-License-Identifier: Apache-2.0 */
/* Three instructions an element: load, look up, store. a0 middle, a1 x, a2 y, a3 pairs. The other
 * half is the same loop in C; portable/lut.c is the whole. */
#include "tinygen/lut.h"
#include "xpulpv2/insn.h"
#include "xpulpv2/xpulp.h"

/* Elements [0, 2 pairs); middle: the table's place for 0. */
void tg_lut_pairs(const int8_t *middle, const int8_t *x, int8_t *y, int32_t pairs);

#if defined(TG_XPULP_INSN) || defined(__pulp__)

/* clang-format off */
__asm__(FUNCTION("tg_lut_pairs")
  P_LOOP0_A3("1f")
  P_LB("t0", "1", "a1") P_LB("t1", "1", "a1") P_LBUR("t0", "t0", "a0") P_LBUR("t1", "t1", "a0")
  P_SB("t0", "1", "a2")
  "1: " P_SB("t1", "1", "a2")
  "ret\n"
  END("tg_lut_pairs"));
/* clang-format on */

#else

void tg_lut_pairs(const int8_t *middle, const int8_t *x, int8_t *y, int32_t pairs) {
  for (int32_t i = 0; i < 2 * pairs; i++)
    y[i] = middle[x[i]];
}

#endif

void tg_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y) {
  const int8_t *const middle = table + 128;
  if (count > 1)
    tg_lut_pairs(middle, x, y, count / 2);
  if (count & 1)
    y[count - 1] = middle[x[count - 1]];
}
