/* SPDX-License-Identifier: Apache-2.0 */
/* Five rows at a time (few.h). Everything but the product is short, because the core's own
 * instruction cache holds 128 instructions: sums go through memory and are rounded in a loop.
 *
 * The loop in C, and instructions an iteration (registers: above each function):
 *
 *   project   for (p < words) for (i < 5, j < 4) sum[i][j] += dot4(x[p][i], w[p][j]);
 *             29: 9 loads, 20 dot products, 80 MACs
 *   scores    for (p < words) for (i < 5) sum[i] += dot4(q[p][i], k[p]);
 *             11: 6 loads, 5 dot products, 20 MACs
 *   context   for (i < rows) for (j < 4) y[i][j] = round((e[i] . v[j]) * r[i]), of eight keys
 *             26 a row: 3 loads, 8 dot products, 12 for rounding, 3 to pack and store; with low
 *             bytes of weights 40
 *
 * The other half of this file is the same in C, for the host.
 */
#include "xpulpv2/few.h"

#if defined(TG_XPULP_INSN) || defined(__pulp__)
#include "xpulpv2/insn.h"

/* clang-format off */

#define SAVED(do_, at)                                                                             \
  do_ " s0, " at "+0(sp)\n" do_ " s1, " at "+4(sp)\n" do_ " s2, " at "+8(sp)\n"                    \
  do_ " s3, " at "+12(sp)\n" do_ " s4, " at "+16(sp)\n" do_ " s5, " at "+20(sp)\n"                 \
  do_ " s6, " at "+24(sp)\n" do_ " s7, " at "+28(sp)\n" do_ " s8, " at "+32(sp)\n"                 \
  do_ " s9, " at "+36(sp)\n" do_ " s10, " at "+40(sp)\n" do_ " s11, " at "+44(sp)\n"
#define EACH4(do_) do_("s0") do_("s1") do_("s2") do_("s3")
#define ROW(x, a, b, c, d)                                                                         \
  P_SDOTSP(a, x, "t0") P_SDOTSP(b, x, "t1") P_SDOTSP(c, x, "t2") P_SDOTSP(d, x, "t3")
#define KEEP(a, b, c, d, at)                                                                       \
  "sw " a ", " at "+0(sp)\nsw " b ", " at "+4(sp)\nsw " c ", " at "+8(sp)\nsw " d ", " at "+12(sp)\n"
#define BIAS(a, b, c, d) P_MOVE(a, "s0") P_MOVE(b, "s1") P_MOVE(c, "s2") P_MOVE(d, "s3")
#define LIMIT(a) P_CLIPR(a, "t6")
#define SHIFT(a) P_ADDNR(a, "t4", "t5")
#define SUMS P_LW("s0", "4", "a0") P_LW("s1", "4", "a0") P_LW("s2", "4", "a0") P_LW("s3", "4", "a0")
#define STORE                                                                                      \
  EACH4(SHIFT) EACH4(P_CLIP8)                                                                      \
  P_SBR("s0", "a4", "a2") P_SBR("s1", "a4", "a2") P_SBR("s2", "a4", "a2")

/* -- projections -------------------------------------------------------------------------------
 * a0 x, a1 w, a2 words, a3 tiles, a4 out, a5 tg_few_out_t. t0-t3 are the channels' words, t4 and t5
 * rows'; all other registers are sums. */

__asm__(FUNCTION("tg_few_project") ".option rvc\n"
  "addi sp, sp, -160\n" SAVED("sw", "112") "sw ra, 108(sp)\nsw a0, 80(sp)\nsw a2, 84(sp)\n"
  "lw t0, 0(a5)\nlw t1, 4(a5)\nlw t2, 8(a5)\nlw t3, 12(a5)\n"
  "sw t0, 88(sp)\nsw t1, 92(sp)\nsw t3, 100(sp)\nsw a4, 104(sp)\n"
  "slli t3, t1, 1\n" P_ADD("t3", "t3", "t1") P_SUB("t2", "t2", "t3") "sw t2, 96(sp)\n"
  P_MOVE("t0", "a3") ".option norvc\n" LINE "nop\nnop\nnop\n" P_LOOP1_T0("9f")
  ".option rvc\nlw a0, 80(sp)\n"
  P_LW("s0", "4", "a1") P_LW("s1", "4", "a1") P_LW("s2", "4", "a1") P_LW("s3", "4", "a1")
  "lw t4, 84(sp)\n"
  BIAS("s4", "s5", "s6", "s7") BIAS("s8", "s9", "s10", "s11")
  BIAS("a2", "a3", "a4", "a5") BIAS("a6", "a7", "t6", "ra")
  ".option norvc\n.balign 4\n" P_LOOP0_T4("1f")
  P_LW("t0", "4", "a1") P_LW("t1", "4", "a1") P_LW("t2", "4", "a1") P_LW("t3", "4", "a1")
  P_LW("t4", "4", "a0") P_LW("t5", "4", "a0") ROW("t4", "s0", "s1", "s2", "s3")
  P_LW("t4", "4", "a0") ROW("t5", "s4", "s5", "s6", "s7")
  P_LW("t5", "4", "a0") ROW("t4", "s8", "s9", "s10", "s11")
  P_LW("t4", "4", "a0") ROW("t5", "a2", "a3", "a4", "a5")
  P_SDOTSP("a6", "t4", "t0") P_SDOTSP("a7", "t4", "t1") P_SDOTSP("t6", "t4", "t2")
  "1: " P_SDOTSP("ra", "t4", "t3")
  ".option rvc\n"
  KEEP("s0", "s1", "s2", "s3", "0") KEEP("s4", "s5", "s6", "s7", "16")
  KEEP("s8", "s9", "s10", "s11", "32") KEEP("a2", "a3", "a4", "a5", "48")
  KEEP("a6", "a7", "t6", "ra", "64")
  P_LW("t0", "4", "a1") P_LW("t1", "4", "a1") P_LW("t2", "4", "a1") P_LW("t3", "4", "a1")
  P_LW("t4", "4", "a1") P_LW("t5", "4", "a1") P_LW("t6", "4", "a1") P_LW("a6", "4", "a1")
  P_MOVE("a0", "sp") "lw a2, 104(sp)\nlw a3, 88(sp)\nlw a4, 92(sp)\nlw a5, 96(sp)\n"
  ".option norvc\n.balign 4\nbeqz a6, 2f\n" P_LOOP0_A3("1f")
  SUMS EACH4(LIMIT) MAC("s0", "t0") MAC("s1", "t1") MAC("s2", "t2") MAC("s3", "t3") STORE
  "1: " P_SBR("s3", "a5", "a2")
  "j 4f\n"
  "2: " P_LOOP0_A3("1f")
  SUMS MULH("s0", "t0") MULH("s1", "t1") MULH("s2", "t2") MULH("s3", "t3") STORE
  "1: " P_SBR("s3", "a5", "a2")
  "4: lw t0, 104(sp)\nlw t1, 100(sp)\n" P_ADD("t0", "t0", "t1")
  "9: sw t0, 104(sp)\n"
  ".option rvc\n" SAVED("lw", "112") "lw ra, 108(sp)\naddi sp, sp, 160\nret\n"
  END("tg_few_project"));

/* -- scores ------------------------------------------------------------------------------------
 * a0 q, a1 k, a2 words, a3 keys, a4 out, a5 tg_few_score_t: one key against five rows at a time.
 * a7 walks over the keys' starting values, s0 is q, s1 the key, s2 the kind. */

#define EACH5(do_) do_("t0") do_("t1") do_("t2") do_("t3") do_("t6")
#define START(a) P_ADD(a, a, "t5")
#define TIMES(a) MAC(a, "t4")
#define HIGH(a) MULH(a, "t4")
#define LIMIT_A0(a) P_CLIPR(a, "a0")
#define SHIFT_A6(a) P_ADDNR(a, "t5", "a6")

__asm__(FUNCTION("tg_few_scores") ".option rvc\n"
  "addi sp, sp, -16\nsw s0, 0(sp)\nsw s1, 4(sp)\nsw s2, 8(sp)\n"
  P_MOVE("s0", "a0") P_MOVE("s1", "a1") "lw s2, 56(a5)\naddi a7, a5, 20\n"
  "3:\n" P_LW("t5", "4", "a7")
  "lw t0, 0(a5)\nlw t1, 4(a5)\nlw t2, 8(a5)\nlw t3, 12(a5)\nlw t6, 16(a5)\n" EACH5(START)
  P_MOVE("a0", "s0") P_MOVE("a1", "s1") P_MOVE("t4", "a2")
  ".option norvc\n.balign 4\n" P_LOOP0_T4("1f")
  P_LW("t5", "20", "a1") P_LW("t4", "4", "a0") P_LW("a6", "4", "a0")
  P_SDOTSP("t0", "t4", "t5") P_LW("t4", "4", "a0")
  P_SDOTSP("t1", "a6", "t5") P_LW("a6", "4", "a0")
  P_SDOTSP("t2", "t4", "t5") P_LW("t4", "4", "a0")
  P_SDOTSP("t3", "a6", "t5")
  "1: " P_SDOTSP("t6", "t4", "t5")
  ".option rvc\nlw t4, 40(a5)\nlw t5, 44(a5)\nlw a6, 48(a5)\nlw a0, 52(a5)\nbeqz s2, 2f\n"
  EACH5(LIMIT_A0) EACH5(TIMES) "j 4f\n"
  "2:\n" EACH5(HIGH)
  "4:\n" EACH5(SHIFT_A6) EACH5(P_CLIP8)
  "sb t0, 0(a4)\nsb t1, 8(a4)\nsb t2, 16(a4)\nsb t3, 24(a4)\nsb t6, 32(a4)\n"
  "addi a4, a4, 1\naddi s1, s1, 4\naddi a3, a3, -1\nbnez a3, 3b\n"
  "lw s0, 0(sp)\nlw s1, 4(sp)\nlw s2, 8(sp)\naddi sp, sp, 16\nret\n"
  END("tg_few_scores"));

/* -- context -----------------------------------------------------------------------------------
 * a0 e, a1 v, a2 tiles, a3 rows, a4 out, a5 tg_few_context_t. s0-s7 are the eight words of four
 * features, t0-t3 a row's sums; s8 offset, s9 shift, s10 e, s11 from tile to tile, a5 wide. */

#define MULH_A7(a) MULH(a, "a7")
#define FOUR(do_) do_("t0") do_("t1") do_("t2") do_("t3")
#define SHIFT_S8(a) P_ADDNR(a, "s8", "s9")
#define JOIN(a) "slli " a ", " a ", 7\n"
#define FIRST(e)                                                                                   \
  P_DOTUSP("t0", e, "s0") P_DOTUSP("t1", e, "s2") P_DOTUSP("t2", e, "s4") P_DOTUSP("t3", e, "s6")
#define KEYS0(e)                                                                                   \
  P_SDOTUSP("t0", e, "s0") P_SDOTUSP("t1", e, "s2") P_SDOTUSP("t2", e, "s4")                       \
  P_SDOTUSP("t3", e, "s6")
#define KEYS1(e)                                                                                   \
  P_SDOTUSP("t0", e, "s1") P_SDOTUSP("t1", e, "s3") P_SDOTUSP("t2", e, "s5")                       \
  P_SDOTUSP("t3", e, "s7")
#define RESULT FOUR(MULH_A7) FOUR(SHIFT_S8) FOUR(P_CLIP8) PACK("t0", "t1", "t2", "t3")

__asm__(FUNCTION("tg_few_context") ".option rvc\n"
  "addi sp, sp, -48\n" SAVED("sw", "0")
  "lw s8, 0(a5)\nlw s9, 4(a5)\nlw a5, 8(a5)\n" P_MOVE("s10", "a0")
  "slli s11, a3, 2\nli t0, 20\n" P_SUB("s11", "t0", "s11") P_MOVE("t0", "a2")
  ".option norvc\n.balign 4\n" P_LOOP1_T0("9f")
  P_LW("s0", "4", "a1") P_LW("s1", "4", "a1") P_LW("s2", "4", "a1") P_LW("s3", "4", "a1")
  P_LW("s4", "4", "a1") P_LW("s5", "4", "a1") P_LW("s6", "4", "a1") P_LW("s7", "4", "a1")
  P_MOVE("a0", "s10") "bnez a5, 2f\n"
  P_LOOP0_A3("1f")
  P_LW("t4", "4", "a0") P_LW("t5", "12", "a0") P_LW("a7", "4", "a0")
  FIRST("t4") KEYS1("t5") RESULT
  "1: " P_SW("t0", "4", "a4")
  "j 4f\n"
  "2: " P_LOOP0_A3("1f")
  P_LW("t4", "4", "a0") P_LW("t5", "4", "a0") P_LW("t6", "4", "a0") P_LW("a6", "4", "a0")
  P_LW("a7", "4", "a0") FIRST("t4") KEYS1("t5") FOUR(JOIN) KEYS0("t6") KEYS1("a6") RESULT
  "1: " P_SW("t0", "4", "a4")
  "4: nop\n"
  "9: " P_ADD("a4", "a4", "s11")
  ".option rvc\n" SAVED("lw", "0") "addi sp, sp, 48\nret\n"
  END("tg_few_context"));

/* clang-format on */

#else

static int32_t rounded(int32_t acc, int32_t m, int32_t offset, int32_t shift, int32_t limit,
                       int32_t kind) {
  if (kind == TG_ROUND_HIGH)
    return tg_clip8(tg_add_shift(tg_mulh(acc, m), offset, shift));
  acc = tg_clip(acc, limit);
  return tg_clip8(
      tg_add_shift((int32_t)((uint32_t)acc + (uint32_t)acc * (uint32_t)m), offset, shift));
}

void tg_few_project(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                    const tg_few_out_t *o) {
  const uint8_t *tile = w;
  int8_t *y = out;
  for (; tiles; tiles--, tile += tg_tile_bytes(4 * words), y += o->between_tiles) {
    const tg_word_t *const from = (const tg_word_t *)(const void *)tile;
    const tg_rounding_t *const r = tg_tile_rounding(tile, words);
    for (int32_t i = 0; i < o->rows; i++)
      for (int j = 0; j < 4; j++) {
        int32_t acc = from[j];
        for (int32_t p = 0; p < words; p++)
          acc = tg_sdotsp4(acc, x[TG_FEW * p + i], from[4 + 4 * p + j]);
        y[i * o->between_rows + j * o->between_channels] =
            (int8_t)rounded(acc, r->m[j], r->offset, r->shift, r->limit, r->kind);
      }
  }
}

void tg_few_scores(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t keys, int8_t *out,
                   const tg_few_score_t *c) {
  for (int32_t j = 0; j < keys; j++)
    for (int i = 0; i < TG_FEW; i++) {
      int32_t acc = c->row[i] + c->key[j];
      for (int32_t p = 0; p < words; p++)
        acc = tg_sdotsp4(acc, q[TG_FEW * p + i], k[TG_FEW * p + j]);
      out[TG_FEW_KEYS * i + j] = (int8_t)rounded(acc, c->m, c->offset, c->shift, c->limit, c->kind);
    }
}

void tg_few_context(const tg_few_weights_t *e, const tg_word_t *v, int32_t tiles, int32_t rows,
                    tg_word_t *out, const tg_few_context_t *c) {
  for (; tiles; tiles--, v += 8, out += TG_FEW)
    for (int32_t i = 0; i < rows; i++) {
      int32_t y[4];
      for (int j = 0; j < 4; j++) {
        int32_t acc = 0;
        for (int t = 0; t < 2; t++)
          acc = tg_sdotusp4(acc, e[i].high[t], v[2 * j + t]);
        if (c->wide) {
          acc = (int32_t)((uint32_t)acc << 7);
          for (int t = 0; t < 2; t++)
            acc = tg_sdotusp4(acc, e[i].low[t], v[2 * j + t]);
        }
        y[j] = tg_clip8(tg_add_shift(tg_mulh(acc, e[i].r), c->offset, c->shift));
      }
      out[i] = tg_pack4(y[0], y[1], y[2], y[3]);
    }
}

#endif
