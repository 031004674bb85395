/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of 4x4 tiles in assembly: a compiler spills around such a tile, because the product alone
 * needs 24 registers.
 *
 * s0-s3, s4-s7, s8-s11, a4-a7 are the accumulators of rows 0 to 3 (column j the j-th of each);
 * t0-t3 the four rows' words, t4 and t5 the columns'; a0 and a1 stream rows and columns, a2 is
 * where results go, a3 counts words, t6 keeps the rows' start, ra one more parameter.
 *
 * The loop in C, which every function repeats for its tiles:
 *
 *   for (p < words) for (i < 4, j < 4)
 *     acc[i][j] += dot4(x[p][i], w[p][j]);      four products of bytes each
 *
 * Instructions an iteration (loops are the hardware's own and take none):
 *
 *   PRODUCT           24: 8 loads, 16 dot products; 64 MACs
 *   row_narrow         9: 5 loads, 4 dot products; 16 MACs
 *   context_pair,     14: 6 loads, 8 dot products; 32 MACs
 *   .._narrow_pair
 *   PAIRS             80: 4 loads, 16 dot products, 48 to round, 12 to pack and store
 *   tg_tiles_weights  20: 12 loads, 4 to pack, 2 sums, 2 stores; four tokens of a row
 *   softmax_narrow     8: 4 loads, 4 maxima; four tokens of four rows
 *                     12: 8 loads, 2 to pack, 1 sum, 1 store; four tokens of a row
 *
 * and what a tile takes besides its PRODUCTs:
 *
 *   WEIGHTS           87: 11 loads, 12 copies of biases, 48 to round, 12 to pack and store, 4 to go
 *                     on; 103 with CLIP
 *   SCORES            92: 12 loads, 16 starting values, 48 to round, 12 to pack and store, 4 to go
 *                     on
 *   tg_tiles_context  63, of two rows with high and low halves; context_narrow 86, of four rows
 *
 * The other half of this file is the same in C, for the host; portable/linear.c and
 * portable/attend.h are the whole kernels without SIMD.
 */
#include "xpulpv2/tiles.h"

#if defined(TG_XPULP_INSN) || defined(__pulp__)
#include "xpulpv2/insn.h"

/* clang-format off */

#define SAVE(do_)                                                                                  \
  do_ " s0, 0(sp)\n" do_ " s1, 4(sp)\n" do_ " s2, 8(sp)\n" do_ " s3, 12(sp)\n"                     \
  do_ " s4, 16(sp)\n" do_ " s5, 20(sp)\n" do_ " s6, 24(sp)\n" do_ " s7, 28(sp)\n"                  \
  do_ " s8, 32(sp)\n" do_ " s9, 36(sp)\n" do_ " s10, 40(sp)\n" do_ " s11, 44(sp)\n"                \
  do_ " ra, 48(sp)\n"
#define ENTER "addi sp, sp, -112\n" SAVE("sw")
#define LEAVE SAVE("lw") "addi sp, sp, 112\nret\n"

#define EACH16(do_)                                                                                \
  do_("s0") do_("s1") do_("s2") do_("s3") do_("s4") do_("s5") do_("s6") do_("s7")                  \
  do_("s8") do_("s9") do_("s10") do_("s11") do_("a4") do_("a5") do_("a6") do_("a7")

#define LOOP_ON_LINE LINE "nop\nnop\nnop\n" P_LOOP1_T0("9f")

/* -- the product: 24 instructions, 64 multiplications ------------------------------------------ */

#define PRODUCT(dot)                                                                               \
  P_LOOP0_A3("1f")                                                                                 \
  P_LW("t0", "4", "a0") P_LW("t1", "4", "a0") P_LW("t2", "4", "a0") P_LW("t3", "4", "a0")          \
  P_LW("t4", "4", "a1") P_LW("t5", "4", "a1")                                                      \
  dot("s0", "t0", "t4") dot("s4", "t1", "t4") dot("s8", "t2", "t4") dot("a4", "t3", "t4")          \
  P_LW("t4", "4", "a1")                                                                            \
  dot("s1", "t0", "t5") dot("s5", "t1", "t5") dot("s9", "t2", "t5") dot("a5", "t3", "t5")          \
  P_LW("t5", "4", "a1")                                                                            \
  dot("s2", "t0", "t4") dot("s6", "t1", "t4") dot("s10", "t2", "t4") dot("a6", "t3", "t4")         \
  dot("s3", "t0", "t5") dot("s7", "t1", "t5") dot("s11", "t2", "t5")                               \
  "1: " dot("a7", "t3", "t5")

/* -- rounding: columns' multipliers in t0-t3 or one in t0, offset t4, shift t5, limit a0 -------- */

#define ROW_COLUMNS(do_, a, b, c, d) do_(a, "t0") do_(b, "t1") do_(c, "t2") do_(d, "t3")
#define ROW_ONE(do_, a, b, c, d) do_(a, "t0") do_(b, "t0") do_(c, "t0") do_(d, "t0")
#define TIMES(row, do_)                                                                            \
  row(do_, "s0", "s1", "s2", "s3") row(do_, "s4", "s5", "s6", "s7")                                \
  row(do_, "s8", "s9", "s10", "s11") row(do_, "a4", "a5", "a6", "a7")
#define LIMIT(a) P_CLIPR(a, "a0")
#define SHIFT(a) P_ADDNR(a, "t4", "t5")
#define HIGH(row) TIMES(row, MULH) EACH16(SHIFT) EACH16(P_CLIP8)
#define LOW(row) TIMES(row, MAC) EACH16(SHIFT) EACH16(P_CLIP8)
#define CLIP(row) EACH16(LIMIT) LOW(row)
#define TIGHT(row) EACH16(LIMIT) TIMES(row, MAC) EACH16(SHIFT)

/* -- four results to a word -------------------------------------------------------------------- */

#define PACK_ROWS                                                                                  \
  PACK("s0", "s1", "s2", "s3") PACK("s4", "s5", "s6", "s7")                                        \
  PACK("s8", "s9", "s10", "s11") PACK("a4", "a5", "a6", "a7")
#define PACK_COLUMNS                                                                               \
  PACK("s0", "s4", "s8", "a4") PACK("s1", "s5", "s9", "a5")                                        \
  PACK("s2", "s6", "s10", "a6") PACK("s3", "s7", "s11", "a7")
#define STORE_ROWS(do_) do_("s0") do_("s4") do_("s8") do_("a4")
#define STORE_COLUMNS(do_) do_("s0") do_("s1") do_("s2") do_("s3")

/* -- tiles of weights --------------------------------------------------------------------------
 * a0 x, a1 w, a2 words, a3 tiles, a4 out, a5 tg_tiles_out_t. Groups outside, tiles inside: one call
 * brings the code to the cache once for all of them. */

#define TO_OUT(a) P_SWR(a, "ra", "a2")
#define WEIGHTS(name, rounding, pack, store)                                                       \
  FUNCTION(name) ENTER                                                                             \
  "lw ra, 0(a5)\nlw t1, 4(a5)\nlw t2, 8(a5)\nlw t3, 12(a5)\n"                                      \
  "sw t1, 52(sp)\nsw t2, 56(sp)\nsw t3, 60(sp)\nsw a1, 64(sp)\nsw a3, 68(sp)\nsw a4, 72(sp)\n"    \
  P_MOVE("t6", "a0") P_MOVE("a3", "a2")                                                            \
  LINE "3: " P_MOVE("a2", "a4") "lw t0, 68(sp)\n" P_MOVE("a0", "t6") P_LOOP1_T0("9f")              \
  P_LW("s0", "4", "a1") P_LW("s1", "4", "a1") P_LW("s2", "4", "a1") P_LW("s3", "4", "a1")          \
  P_MOVE("s4", "s0") P_MOVE("s8", "s0") P_MOVE("a4", "s0")                                         \
  P_MOVE("s5", "s1") P_MOVE("s9", "s1") P_MOVE("a5", "s1")                                         \
  P_MOVE("s6", "s2") P_MOVE("s10", "s2") P_MOVE("a6", "s2")                                        \
  P_MOVE("s7", "s3") P_MOVE("s11", "s3") P_MOVE("a7", "s3")                                        \
  PRODUCT(P_SDOTSP)                                                                                \
  P_LW("t0", "4", "a1") P_LW("t1", "4", "a1") P_LW("t2", "4", "a1") P_LW("t3", "4", "a1")          \
  P_LW("t4", "4", "a1") P_LW("t5", "4", "a1") P_LW("a0", "8", "a1")                                \
  rounding(ROW_COLUMNS) pack store(TO_OUT)                                                         \
  "lw t0, 52(sp)\n" P_MOVE("a0", "t6")                                                             \
  "9: " P_ADD("a2", "a2", "t0")                                                                    \
  "lw t0, 56(sp)\nlw a4, 72(sp)\nlw t1, 60(sp)\nlw a1, 64(sp)\nslli t2, a3, 4\n"                   \
  "addi t0, t0, -1\nsw t0, 56(sp)\n" P_ADD("t6", "t6", "t2") P_ADD("a4", "a4", "t1")               \
  "sw a4, 72(sp)\nbnez t0, 3b\n"                                                                   \
  LEAVE END(name)

__asm__(WEIGHTS("tg_tiles_rows_high", HIGH, PACK_ROWS, STORE_ROWS));
__asm__(WEIGHTS("tg_tiles_rows_low", LOW, PACK_ROWS, STORE_ROWS));
__asm__(WEIGHTS("tg_tiles_rows_clip", CLIP, PACK_ROWS, STORE_ROWS));
__asm__(WEIGHTS("tg_tiles_columns_high", HIGH, PACK_COLUMNS, STORE_COLUMNS));
__asm__(WEIGHTS("tg_tiles_columns_low", LOW, PACK_COLUMNS, STORE_COLUMNS));
__asm__(WEIGHTS("tg_tiles_columns_clip", CLIP, PACK_COLUMNS, STORE_COLUMNS));

/* -- one row: its four sums are a6, a7, t0, t1 -------------------------------------------------
 * a0 x, a1 w, a2 words, a3 tiles, a4 out, a5 between tiles */

#define EACH4(do_) do_("a6") do_("a7") do_("t0") do_("t1")
#define LIMIT_T2(a) P_CLIPR(a, "t2")
#define SHIFT_T2(a) P_ADDNR(a, "t2", "t3")

__asm__(FUNCTION("tg_tiles_row_narrow")
  P_MOVE("t6", "a3") P_MOVE("a3", "a2") "slli a2, a2, 4\n"
  "3: " P_LW("a6", "4", "a1") P_LW("a7", "4", "a1") P_LW("t0", "4", "a1") P_LW("t1", "4", "a1")
  P_LOOP0_A3("1f")
  P_LW("t2", "16", "a0") P_LW("t3", "4", "a1") P_LW("t4", "4", "a1")
  P_SDOTSP("a6", "t2", "t3") P_LW("t3", "4", "a1")
  P_SDOTSP("a7", "t2", "t4") P_LW("t4", "4", "a1")
  P_SDOTSP("t0", "t2", "t3")
  "1: " P_SDOTSP("t1", "t2", "t4")
  "lw t2, 24(a1)\nlw t3, 4(a1)\nlw t4, 8(a1)\nlw t5, 12(a1)\n" P_SUB("a0", "a0", "a2")
  EACH4(LIMIT_T2)
  "lw t2, 28(a1)\naddi t6, t6, -1\nbeqz t2, 2f\nlw t2, 0(a1)\n"
  MAC("a7", "t3") MAC("t0", "t4") MAC("t1", "t5") MAC("a6", "t2")
  "j 4f\n2: lw t2, 0(a1)\n"
  MULH("a7", "t3") MULH("t0", "t4") MULH("t1", "t5") MULH("a6", "t2")
  "4: lw t2, 16(a1)\nlw t3, 20(a1)\naddi a1, a1, 32\n"
  EACH4(SHIFT_T2) EACH4(P_CLIP8) PACK("a6", "a7", "t0", "t1")
  P_SWR("a6", "a5", "a4")
  "bnez t6, 3b\nret\n"
  END("tg_tiles_row_narrow"));

/* -- scores of four rows -----------------------------------------------------------------------
 * a0 q, a1 k, a2 words, a3 groups of keys, a4 out, a5 tg_tiles_score_t. The outer loop is a branch,
 * so that its instructions may be short ones: it fits the cache then. */

#define START(a, b, c, d, k)                                                                       \
  P_ADD(a, "t0", k) P_ADD(b, "t1", k) P_ADD(c, "t2", k) P_ADD(d, "t3", k)
#define COPY4(f0, f1, f2, f3, to0, to1, to2, to3)                                                  \
  "lw t0, " f0 "(a5)\nlw t1, " f1 "(a5)\nlw t2, " f2 "(a5)\nlw t3, " f3 "(a5)\n"                   \
  "sw t0, " to0 "(sp)\nsw t1, " to1 "(sp)\nsw t2, " to2 "(sp)\nsw t3, " to3 "(sp)\n"
#define SCORES(name, rounding)                                                                     \
  FUNCTION(name) ENTER                                                                             \
  COPY4("0", "4", "8", "12", "64", "68", "72", "76")                                               \
  COPY4("16", "20", "24", "28", "80", "84", "88", "92")                                            \
  P_MOVE("t6", "a0") P_MOVE("ra", "a3") P_MOVE("a3", "a2") P_MOVE("a2", "a4")                      \
  LINE ".option rvc\n3:\n"                                                                         \
  "lw t0, 64(sp)\nlw t1, 68(sp)\nlw t2, 72(sp)\nlw t3, 76(sp)\n"                                   \
  P_LW("t4", "4", "a1") P_LW("t5", "4", "a1")                                                      \
  START("s0", "s4", "s8", "a4", "t4") P_LW("t4", "4", "a1")                                        \
  START("s1", "s5", "s9", "a5", "t5") P_LW("t5", "4", "a1")                                        \
  START("s2", "s6", "s10", "a6", "t4") START("s3", "s7", "s11", "a7", "t5")                        \
  ".option norvc\n.balign 4\n" PRODUCT(P_SDOTSP) ".option rvc\n"                                   \
  "lw t0, 80(sp)\nlw t4, 84(sp)\nlw t5, 88(sp)\nlw a0, 92(sp)\n"                                   \
  rounding(ROW_ONE) PACK_ROWS                                                                      \
  P_MOVE("a0", "t6") "addi ra, ra, -1\n"                                                           \
  P_SW("s0", "4", "a2") P_SW("s4", "4", "a2") P_SW("s8", "4", "a2") P_SW("a4", "4", "a2")          \
  "bnez ra, 3b\n"                                                                                  \
  LEAVE END(name)

__asm__(SCORES("tg_tiles_scores_high", HIGH));
__asm__(SCORES("tg_tiles_scores_low", LOW));
__asm__(SCORES("tg_tiles_scores_clip", TIGHT));

/* One or two features, without their zero points, in halfwords: a sum is one instruction and needs
 * no starting value. q stays in t0-t3; t6 is the multiplier, ra the offset, a3 the shift. */
#define MAC_T6(a) MAC(a, "t6")
#define MULH_T6(a) MULH(a, "t6")
#define SHIFT_A3(a) P_ADDNR(a, "ra", "a3")
#define PAIRS(name, product)                                                                       \
  FUNCTION(name) ENTER                                                                             \
  "lw t6, 16(a5)\nlw ra, 20(a5)\n" P_MOVE("a2", "a4") P_MOVE("a4", "a3") "lw a3, 24(a5)\n"         \
  "lw t0, 0(a0)\nlw t1, 4(a0)\nlw t2, 8(a0)\nlw t3, 12(a0)\naddi a1, a1, 16\n"                     \
  LINE "nop\nnop\nnop\n" P_LOOP1_A4("9f")                                                          \
  P_LW("t4", "4", "a1") P_LW("t5", "4", "a1")                                                      \
  P_DOTSPH("s0", "t0", "t4") P_DOTSPH("s4", "t1", "t4") P_DOTSPH("s8", "t2", "t4")                 \
  P_DOTSPH("a4", "t3", "t4") P_LW("t4", "4", "a1")                                                 \
  P_DOTSPH("s1", "t0", "t5") P_DOTSPH("s5", "t1", "t5") P_DOTSPH("s9", "t2", "t5")                 \
  P_DOTSPH("a5", "t3", "t5") P_LW("t5", "20", "a1")                                                \
  P_DOTSPH("s2", "t0", "t4") P_DOTSPH("s6", "t1", "t4") P_DOTSPH("s10", "t2", "t4")                \
  P_DOTSPH("a6", "t3", "t4") P_DOTSPH("s3", "t0", "t5") P_DOTSPH("s7", "t1", "t5")                 \
  P_DOTSPH("s11", "t2", "t5") P_DOTSPH("a7", "t3", "t5")                                           \
  EACH16(product) EACH16(SHIFT_A3) EACH16(P_CLIP8) PACK_ROWS                                       \
  P_SW("s0", "4", "a2") P_SW("s4", "4", "a2") P_SW("s8", "4", "a2")                                \
  "9: " P_SW("a4", "4", "a2")                                                                      \
  LEAVE END(name)

__asm__(PAIRS("tg_tiles_pairs_high", MULH_T6));
__asm__(PAIRS("tg_tiles_pairs_low", MAC_T6));

/* -- attention weights of one row --------------------------------------------------------------
 * a0 scores, a1 table, a2 out, a3 groups - 1, a4 mask of the last, a5 the sums */

#define LOOK_UP                                                                                    \
  P_LB("t0", "1", "a0") P_LB("t1", "1", "a0") P_LB("t2", "1", "a0") P_LB("t3", "13", "a0")         \
  P_LBUR("a6", "t0", "a1") P_LBUR("a7", "t1", "a1") P_LBUR("t4", "t2", "a1")                       \
  P_LBUR("t5", "t3", "a1")                                                                         \
  P_LBUR("t0", "t0", "t6") P_LBUR("t1", "t1", "t6") P_LBUR("t2", "t2", "t6")                       \
  P_LBUR("t3", "t3", "t6")                                                                         \
  PACK("a6", "a7", "t4", "t5") PACK("t0", "t1", "t2", "t3")
#define SUM P_SDOTUP("s0", "a6", "s2") P_SDOTUP("s1", "t0", "s2") P_SW("a6", "4", "a2")

__asm__(FUNCTION("tg_tiles_weights")
  "addi sp, sp, -16\nsw s0, 0(sp)\nsw s1, 4(sp)\nsw s2, 8(sp)\n"
  "li s0, 0\nli s1, 0\nlui s2, 0x1010\naddi s2, s2, 0x101\naddi t6, a1, 256\n"
  "beqz a3, 2f\n"
  P_LOOP0_A3("1f")
  LOOK_UP SUM
  "1: " P_SW("t0", "12", "a2")
  "2:\n" LOOK_UP
  "and a6, a6, a4\nand t0, t0, a4\n"
  SUM P_SW("t0", "12", "a2")
  "sw s0, 0(a5)\nsw s1, 4(a5)\n"
  "lw s0, 0(sp)\nlw s1, 4(sp)\nlw s2, 8(sp)\naddi sp, sp, 16\nret\n"
  END("tg_tiles_weights"));

/* -- weights of eight bits: maximum, table and sum of one row after another --------------------
 * a0 scores [groups][tokens][4 rows] and result, a1 table, a2 mask of the last, a3 words - 1,
 * a4 sums, a5 rows. Maxima of a group wait on the stack; s0 is the row's table, s1 four ones. */

#define LOOK_UP_NARROW                                                                             \
  P_LB("t0", "1", "t6") P_LB("t1", "1", "t6") P_LB("t2", "1", "t6") P_LB("t3", "13", "t6")         \
  P_LBUR("t0", "t0", "s0") P_LBUR("t1", "t1", "s0") P_LBUR("t2", "t2", "s0")                       \
  P_LBUR("t3", "t3", "s0") P_PACKLO("t0", "t1", "t0") P_PACKHI("t0", "t3", "t2")

__asm__(FUNCTION("tg_tiles_softmax_narrow")
  "addi sp, sp, -32\nsw s0, 16(sp)\nsw s1, 20(sp)\n"
  "lui s1, 0x1010\naddi s1, s1, 0x101\naddi a1, a1, 255\naddi a6, sp, 16\n"
  "4: lw t0, 0(a0)\nlw t1, 4(a0)\nlw t2, 8(a0)\nlw t3, 12(a0)\naddi t6, a0, 16\nmv a7, sp\n"
  "beqz a3, 2f\n"
  P_LOOP0_A3("1f")
  P_LW("t4", "4", "t6") P_LW("t5", "4", "t6") P_MAX("t0", "t4") P_LW("t4", "4", "t6")
  P_MAX("t1", "t5") P_LW("t5", "4", "t6") P_MAX("t2", "t4")
  "1: " P_MAX("t3", "t5")
  "2: sw t0, 0(sp)\nsw t1, 4(sp)\nsw t2, 8(sp)\nsw t3, 12(sp)\n"
  "3: lw t0, 0(a7)\nmv t6, a0\nmv t4, a0\nsrli t1, t0, 16\n" P_MAX("t0", "t1")
  "srli t1, t0, 8\n" P_MAX("t0", "t1") "slli t0, t0, 24\nsrai t0, t0, 24\nli t5, 0\n"
  P_SUB("s0", "a1", "t0") "beqz a3, 2f\n"
  P_LOOP0_A3("1f")
  LOOK_UP_NARROW P_SDOTUP("t5", "t0", "s1")
  "1: " P_SW("t0", "16", "t4")
  "2:\n" LOOK_UP_NARROW
  "and t0, t0, a2\naddi a7, a7, 4\n" P_SDOTUP("t5", "t0", "s1")
  "sw t0, 0(t4)\naddi a0, a0, 4\nsw t5, 0(a4)\naddi a4, a4, 4\naddi a5, a5, -1\n"
  "beqz a5, 5f\nbne a7, a6, 3b\nslli t0, a3, 4\nadd a0, a0, t0\nj 4b\n"
  "5: lw s0, 16(sp)\nlw s1, 20(sp)\naddi sp, sp, 32\nret\n"
  END("tg_tiles_softmax_narrow"));

/* -- context of two rows -----------------------------------------------------------------------
 * a0 weights, a1 v, a2 groups of tokens, a3 groups of features, a4 out, a5 tg_tiles_context_t.
 * Rows of the tile: high and low halves of the first row, of the second. */

#define JOIN(high, low) P_MAC(low, high, "t0")
#define CLEAR(a) "mv " a ", x0\n"

__asm__(FUNCTION("tg_tiles_context") ENTER
  P_MOVE("t6", "a0") P_MOVE("ra", "a5") P_MOVE("t0", "a3") P_MOVE("a3", "a2") P_MOVE("a2", "a4")
  LOOP_ON_LINE
  EACH16(CLEAR)
  PRODUCT(P_SDOTUSP)
  "li t0, 128\nlw t1, 0(ra)\nlw t2, 4(ra)\nlw t4, 8(ra)\nlw t5, 12(ra)\nlw t3, 16(ra)\n"
  JOIN("s0", "s4") JOIN("s1", "s5") JOIN("s2", "s6") JOIN("s3", "s7")
  JOIN("s8", "a4") JOIN("s9", "a5") JOIN("s10", "a6") JOIN("s11", "a7")
  MULH("s4", "t1") MULH("s5", "t1") MULH("s6", "t1") MULH("s7", "t1")
  MULH("a4", "t2") MULH("a5", "t2") MULH("a6", "t2") MULH("a7", "t2")
  SHIFT("s4") SHIFT("s5") SHIFT("s6") SHIFT("s7")
  SHIFT("a4") SHIFT("a5") SHIFT("a6") SHIFT("a7")
  P_CLIP8("s4") P_CLIP8("s5") P_CLIP8("s6") P_CLIP8("s7")
  P_CLIP8("a4") P_CLIP8("a5") P_CLIP8("a6") P_CLIP8("a7")
  "lw t0, 20(ra)\n"
  PACK("s4", "s5", "s6", "s7") PACK("a4", "a5", "a6", "a7")
  P_SWR("s4", "t3", "a2") P_MOVE("a0", "t6")
  "9: " P_SWR("a4", "t0", "a2")
  LEAVE END("tg_tiles_context"));

/* The same for one or two features: one group of them, of which half is computed. */
__asm__(FUNCTION("tg_tiles_context_pair") ENTER
  P_MOVE("ra", "a5") P_MOVE("a3", "a2") P_MOVE("a2", "a4")
  CLEAR("s0") CLEAR("s1") CLEAR("s4") CLEAR("s5") CLEAR("s8") CLEAR("s9") CLEAR("a4") CLEAR("a5")
  P_LOOP0_A3("1f")
  P_LW("t0", "4", "a0") P_LW("t1", "4", "a0") P_LW("t2", "4", "a0") P_LW("t3", "4", "a0")
  P_LW("t4", "4", "a1") P_LW("t5", "12", "a1")
  P_SDOTUSP("s0", "t0", "t4") P_SDOTUSP("s4", "t1", "t4") P_SDOTUSP("s8", "t2", "t4")
  P_SDOTUSP("a4", "t3", "t4") P_SDOTUSP("s1", "t0", "t5") P_SDOTUSP("s5", "t1", "t5")
  P_SDOTUSP("s9", "t2", "t5")
  "1: " P_SDOTUSP("a5", "t3", "t5")
  "li t0, 128\nlw t1, 0(ra)\nlw t2, 4(ra)\nlw t4, 8(ra)\nlw t5, 12(ra)\nlw t3, 16(ra)\n"
  JOIN("s0", "s4") JOIN("s1", "s5") JOIN("s8", "a4") JOIN("s9", "a5")
  MULH("s4", "t1") MULH("s5", "t1") MULH("a4", "t2") MULH("a5", "t2")
  SHIFT("s4") SHIFT("s5") SHIFT("a4") SHIFT("a5")
  P_CLIP8("s4") P_CLIP8("s5") P_CLIP8("a4") P_CLIP8("a5")
  P_PACKLO("s4", "s5", "s4") P_PACKLO("a4", "a5", "a4")
  P_SWR("s4", "t3", "a2") "sw a4, 0(a2)\n"
  LEAVE END("tg_tiles_context_pair"));

/* -- context of four rows, weights of eight bits ----------------------------------------------- */

#define MULH_ROWS                                                                                  \
  MULH("s0", "t0") MULH("s1", "t0") MULH("s2", "t0") MULH("s3", "t0")                              \
  MULH("s4", "t1") MULH("s5", "t1") MULH("s6", "t1") MULH("s7", "t1")                              \
  MULH("s8", "t2") MULH("s9", "t2") MULH("s10", "t2") MULH("s11", "t2")                            \
  MULH("a4", "t3") MULH("a5", "t3") MULH("a6", "t3") MULH("a7", "t3")
#define FACTORS "lw t0, 0(ra)\nlw t1, 4(ra)\nlw t2, 8(ra)\nlw t3, 12(ra)\n"

__asm__(FUNCTION("tg_tiles_context_narrow") ENTER
  "lw t0, 0(a5)\nlw t1, 4(a5)\nlw t2, 8(a5)\nlw t3, 12(a5)\nlw t4, 16(a5)\nlw t5, 20(a5)\n"
  "sw t0, 72(sp)\nsw t1, 76(sp)\nsw t2, 80(sp)\nsw t3, 84(sp)\nsw t4, 64(sp)\nsw t5, 88(sp)\n"
  "sw a1, 52(sp)\nsw a3, 56(sp)\nsw a4, 60(sp)\naddi ra, a5, 24\n"
  P_MOVE("t6", "a0") P_MOVE("a3", "a2")
  LINE "3: lw t0, 56(sp)\nlw a1, 52(sp)\nlw a2, 60(sp)\n" P_LOOP1_T0("9f")
  EACH16(CLEAR)
  PRODUCT(P_SDOTUSP)
  FACTORS "lw t4, 72(sp)\nlw t5, 76(sp)\n"
  MULH_ROWS "lw t0, 80(sp)\nlw t1, 84(sp)\n" EACH16(SHIFT) EACH16(P_CLIP8) PACK_ROWS
  P_SWR("s0", "t0", "a2") P_SWR("s4", "t0", "a2") P_SWR("s8", "t0", "a2") P_MOVE("a0", "t6")
  "9: " P_SWR("a4", "t1", "a2")
  "lw t0, 64(sp)\nlw a2, 60(sp)\nlw t1, 88(sp)\naddi ra, ra, 16\nslli t2, a3, 4\n"
  "addi t0, t0, -1\nsw t0, 64(sp)\n" P_ADD("t6", "t6", "t2") P_ADD("a2", "a2", "t1")
  P_MOVE("a0", "t6") "sw a2, 60(sp)\nbnez t0, 3b\n"
  LEAVE END("tg_tiles_context_narrow"));

#define EACH8(do_)                                                                                 \
  do_("s0") do_("s1") do_("s4") do_("s5") do_("s8") do_("s9") do_("a4") do_("a5")

/* One or two features, as above; rows of halfwords follow each other over all groups. */
#define TO_ROW(a) "sh " a ", 0(a2)\n" P_ADD("a2", "a2", "t0")

__asm__(FUNCTION("tg_tiles_context_narrow_pair") ENTER
  "lw t0, 0(a4)\nlw t1, 4(a4)\nlw t2, 8(a4)\nlw t3, 16(a4)\n"
  "sw t0, 72(sp)\nsw t1, 76(sp)\nsw t2, 80(sp)\nsw t3, 64(sp)\naddi ra, a4, 24\n"
  P_MOVE("t6", "a1") P_MOVE("t0", "a2") P_MOVE("a2", "a3") P_MOVE("a3", "t0")
  "3:\n" EACH8(CLEAR)
  P_LOOP0_A3("1f")
  P_LW("t0", "4", "a0") P_LW("t1", "4", "a0") P_LW("t2", "4", "a0") P_LW("t3", "4", "a0")
  P_LW("t4", "4", "a1") P_LW("t5", "12", "a1")
  P_SDOTUSP("s0", "t0", "t4") P_SDOTUSP("s4", "t1", "t4") P_SDOTUSP("s8", "t2", "t4")
  P_SDOTUSP("a4", "t3", "t4") P_SDOTUSP("s1", "t0", "t5") P_SDOTUSP("s5", "t1", "t5")
  P_SDOTUSP("s9", "t2", "t5")
  "1: " P_SDOTUSP("a5", "t3", "t5")
  FACTORS "lw t4, 72(sp)\nlw t5, 76(sp)\n"
  MULH("s0", "t0") MULH("s1", "t0") MULH("s4", "t1") MULH("s5", "t1")
  MULH("s8", "t2") MULH("s9", "t2") MULH("a4", "t3") MULH("a5", "t3")
  "lw t0, 80(sp)\nlw t1, 64(sp)\n" EACH8(SHIFT) EACH8(P_CLIP8)
  P_PACKLO("s0", "s1", "s0") P_PACKLO("s4", "s5", "s4") P_PACKLO("s8", "s9", "s8")
  P_PACKLO("a4", "a5", "a4")
  TO_ROW("s0") TO_ROW("s4") TO_ROW("s8") TO_ROW("a4")
  P_MOVE("a1", "t6") "addi ra, ra, 16\naddi t1, t1, -1\nsw t1, 64(sp)\nbnez t1, 3b\n"
  LEAVE END("tg_tiles_context_narrow_pair"));

/* clang-format on */

#else

static int32_t rounded(int32_t acc, int32_t m, int32_t offset, int32_t shift, int32_t limit,
                       int kind) {
  if (kind == TG_ROUND_HIGH)
    return tg_clip8(tg_add_shift(tg_mulh(acc, m), offset, shift));
  if (kind == TG_ROUND_CLIP)
    acc = acc < -limit - 1 ? -limit - 1 : acc > limit ? limit : acc;
  return tg_clip8(
      tg_add_shift((int32_t)((uint32_t)acc + (uint32_t)acc * (uint32_t)m), offset, shift));
}

static void product(int32_t acc[16], const tg_word_t *x, const tg_word_t *w, int32_t words) {
  for (int32_t p = 0; p < words; p++, x += 4, w += 4)
    for (int i = 0; i < 16; i++)
      acc[i] = tg_sdotsp4(acc[i], x[i >> 2], w[i & 3]);
}

static void weights(int kind, int columns, const tg_word_t *x, const void *first, int32_t words,
                    int32_t tiles, void *start, const tg_tiles_out_t *o) {
  for (int32_t g = 0; g < o->groups; g++, x += 4 * words) {
    const uint8_t *w = first;
    uint8_t *out = (uint8_t *)start + (ptrdiff_t)g * o->between_groups;
    for (int32_t t = 0; t < tiles; t++, w += tg_tile_bytes(4 * words), out += o->between_tiles) {
      const tg_word_t *const tile = (const tg_word_t *)(const void *)w;
      const tg_rounding_t *const r = tg_tile_rounding(w, words);
      int32_t acc[16], v[16];
      for (int i = 0; i < 16; i++)
        acc[i] = tile[i & 3];
      product(acc, x, tile + 4, words);
      for (int i = 0; i < 16; i++)
        v[columns ? (i & 3) * 4 + (i >> 2) : i] =
            rounded(acc[i], r->m[i & 3], r->offset, r->shift, r->limit, kind);
      for (int i = 0; i < 16; i += 4, out += o->between_words)
        *(tg_word_t *)(void *)out = tg_pack4(v[i], v[i + 1], v[i + 2], v[i + 3]);
    }
  }
}

void tg_tiles_row_narrow(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                         int32_t between_tiles) {
  for (; tiles; tiles--, w = (const uint8_t *)w + tg_tile_bytes(4 * words)) {
    const tg_rounding_t *const r = tg_tile_rounding(w, words);
    int32_t v[4];
    for (int i = 0; i < 4; i++) {
      v[i] = ((const tg_word_t *)w)[i];
      for (int32_t p = 0; p < words; p++)
        v[i] = tg_sdotsp4(v[i], x[4 * p], ((const tg_word_t *)w)[4 + 4 * p + i]);
      v[i] = rounded(v[i], r->m[i], r->offset, r->shift, r->limit, r->kind);
    }
    *(tg_word_t *)out = tg_pack4(v[0], v[1], v[2], v[3]);
    out = (uint8_t *)out + between_tiles;
  }
}

#define WEIGHTS(name, kind, columns)                                                               \
  void name(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,            \
            const tg_tiles_out_t *o) {                                                             \
    weights(kind, columns, x, w, words, tiles, out, o);                                            \
  }
WEIGHTS(tg_tiles_rows_high, TG_ROUND_HIGH, 0)
WEIGHTS(tg_tiles_rows_low, TG_ROUND_LOW, 0)
WEIGHTS(tg_tiles_rows_clip, TG_ROUND_CLIP, 0)
WEIGHTS(tg_tiles_columns_high, TG_ROUND_HIGH, 1)
WEIGHTS(tg_tiles_columns_low, TG_ROUND_LOW, 1)
WEIGHTS(tg_tiles_columns_clip, TG_ROUND_CLIP, 1)

static void scores(int kind, const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups,
                   tg_word_t *out, const tg_tiles_score_t *c) {
  for (; groups; groups--, k += 4 * words + 4, out += 4) {
    int32_t v[16];
    for (int i = 0; i < 16; i++)
      v[i] = c->row[i >> 2] + k[i & 3];
    product(v, q, k + 4, words);
    for (int i = 0; i < 16; i++)
      v[i] = rounded(v[i], c->m, c->offset, c->shift, c->limit, kind);
    for (int i = 0; i < 4; i++)
      out[i] = tg_pack4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]);
  }
}

#define SCORES(name, kind)                                                                         \
  void name(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups, tg_word_t *out, \
            const tg_tiles_score_t *c) {                                                           \
    scores(kind, q, k, words, groups, out, c);                                                     \
  }
SCORES(tg_tiles_scores_high, TG_ROUND_HIGH)
SCORES(tg_tiles_scores_low, TG_ROUND_LOW)
SCORES(tg_tiles_scores_clip, TG_ROUND_CLIP)

static void pairs(int kind, const tg_word_t *q, const tg_word_t *k, int32_t groups, tg_word_t *out,
                  const tg_tiles_score_t *c) {
  for (; groups; groups--, k += 8)
    for (int i = 0; i < 4; i++) {
      int32_t v[4];
      for (int j = 0; j < 4; j++)
        v[j] = rounded(tg_dotsp2(q[i], k[4 + j]), c->m, c->offset, c->shift, 0, kind);
      *out++ = tg_pack4(v[0], v[1], v[2], v[3]);
    }
}

#define PAIRS(name, kind)                                                                          \
  void name(const tg_word_t *q, const tg_word_t *k, int32_t words, int32_t groups, tg_word_t *out, \
            const tg_tiles_score_t *c) {                                                           \
    (void)words;                                                                                   \
    pairs(kind, q, k, groups, out, c);                                                             \
  }
PAIRS(tg_tiles_pairs_high, TG_ROUND_HIGH)
PAIRS(tg_tiles_pairs_low, TG_ROUND_LOW)

static int32_t look_up(const uint8_t *table, const int8_t *s) {
  return tg_pack4(table[s[0]], table[s[1]], table[s[2]], table[s[3]]);
}

void tg_tiles_weights(const int8_t *scores, const uint8_t *table, tg_word_t *e, int32_t before_last,
                      int32_t last, int32_t sums[2]) {
  sums[0] = sums[1] = 0;
  for (int32_t t = 0; t <= before_last; t++, e += 4, scores += 16) {
    const int32_t mask = t == before_last ? last : -1;
    e[0] = look_up(table, scores) & mask;
    e[1] = look_up(table + 256, scores) & mask;
    sums[0] = tg_sdotup4(sums[0], e[0], TG_ONES);
    sums[1] = tg_sdotup4(sums[1], e[1], TG_ONES);
  }
}

void tg_tiles_softmax_narrow(tg_word_t *scores, const uint8_t *table, int32_t last,
                             int32_t before_last, int32_t *sums, int32_t rows) {
  for (int32_t i = 0; i < rows; i++, scores += i & 3 ? 1 : 4 * before_last + 1) {
    int32_t max = -128;
    for (int32_t t = 0; t <= before_last; t++)
      for (int j = 0; j < 4; j++)
        max = tg_larger(max, tg_byte_s(scores[4 * t], j));
    sums[i] = 0;
    for (int32_t t = 0; t <= before_last; t++) {
      const int8_t *const four = (const int8_t *)(scores + 4 * t);
      scores[4 * t] = look_up(table + 255 - max, four) & (t == before_last ? last : -1);
      sums[i] = tg_sdotup4(sums[i], scores[4 * t], TG_ONES);
    }
  }
}

void tg_tiles_context(const tg_word_t *e, const tg_word_t *v, int32_t tokens, int32_t features,
                      void *out, const tg_tiles_context_t *c) {
  for (; features; features--) {
    int32_t acc[16] = {0};
    for (int32_t t = 0; t < tokens; t++, v += 4)
      for (int i = 0; i < 16; i++)
        acc[i] = tg_sdotusp4(acc[i], e[4 * t + (i >> 2)], v[i & 3]);
    for (int i = 0; i < 2; i++) {
      int32_t y[4];
      for (int j = 0; j < 4; j++) {
        const uint32_t sum = (uint32_t)acc[8 * i + j] * 128u + (uint32_t)acc[8 * i + 4 + j];
        y[j] = tg_clip8(tg_add_shift(tg_mulh((int32_t)sum, c->r[i]), c->offset, c->shift));
      }
      *(tg_word_t *)out = tg_pack4(y[0], y[1], y[2], y[3]);
      out = (uint8_t *)out + (i ? c->between_features : c->between_rows);
    }
  }
}

void tg_tiles_context_pair(const tg_word_t *e, const tg_word_t *v, int32_t tokens, int32_t features,
                           void *out, const tg_tiles_context_t *c) {
  tg_tiles_context(e, v, tokens, features, out, c);
}

void tg_tiles_context_narrow(const tg_word_t *e, const tg_word_t *first, int32_t tokens,
                             int32_t features, void *start, const tg_tiles_context_narrow_t *c) {
  for (int32_t g = 0; g < c->groups; g++, e += 4 * tokens) {
    uint8_t *out = (uint8_t *)start + (ptrdiff_t)g * c->between_groups;
    const tg_word_t *v = first;
    for (int32_t f = 0; f < features; f++) {
      int32_t acc[16] = {0};
      for (int32_t t = 0; t < tokens; t++, v += 4)
        for (int i = 0; i < 16; i++)
          acc[i] = tg_sdotusp4(acc[i], e[4 * t + (i >> 2)], v[i & 3]);
      for (int i = 0; i < 4; i++) {
        int32_t y[4];
        for (int j = 0; j < 4; j++)
          y[j] =
              tg_clip8(tg_add_shift(tg_mulh(acc[4 * i + j], c->r[4 * g + i]), c->offset, c->shift));
        *(tg_word_t *)(void *)out = tg_pack4(y[0], y[1], y[2], y[3]);
        out += i < 3 ? c->between_rows : c->between_features;
      }
    }
  }
}

void tg_tiles_context_narrow_pair(const tg_word_t *e, const tg_word_t *v, int32_t tokens, void *out,
                                  const tg_tiles_context_narrow_t *c) {
  for (int32_t i = 0; i < 4 * c->groups; i++, e += i & 3 ? 1 : 4 * tokens - 3) {
    int32_t y[2];
    for (int j = 0; j < 2; j++) {
      int32_t acc = 0;
      for (int32_t t = 0; t < tokens; t++)
        acc = tg_sdotusp4(acc, e[4 * t], v[4 * t + j]);
      y[j] = tg_clip8(tg_add_shift(tg_mulh(acc, c->r[i]), c->offset, c->shift));
    }
    *(tg_half_t *)out = (tg_half_t)((y[0] & 255) | (int32_t)((uint32_t)y[1] << 8));
    out = (uint8_t *)out + c->between_rows;
  }
}

#endif

void tg_tiles_project(int columns, const tg_word_t *x, const void *w, int32_t words, int32_t tiles,
                      void *out, const tg_tiles_out_t *o) {
  const int32_t kind = tg_tile_rounding(w, words)->kind;
  if (kind != TG_ROUND_WIDE) {
    tg_tiles_out_t step = *o;
    step.between_tiles -= 4 * step.between_words;
    if (kind == TG_ROUND_LOW) /* a table of functions would be far */
      (columns ? tg_tiles_columns_low : tg_tiles_rows_low)(x, w, words, tiles, out, &step);
    else if (kind == TG_ROUND_CLIP)
      (columns ? tg_tiles_columns_clip : tg_tiles_rows_clip)(x, w, words, tiles, out, &step);
    else
      (columns ? tg_tiles_columns_high : tg_tiles_rows_high)(x, w, words, tiles, out, &step);
    return;
  }
  for (int32_t g = 0; g < o->groups; g++, x += 4 * words) {
    const uint8_t *tile = w;
    uint8_t *start = (uint8_t *)out + (ptrdiff_t)g * o->between_groups;
    for (int32_t t = 0; t < tiles; t++, tile += tg_tile_bytes(4 * words)) {
      int32_t v[16];
      uint8_t *to = start;
      tg_tile_wide(x, tile, words, v);
      for (int i = 0; i < 4; i++, to += o->between_words)
        *(tg_word_t *)(void *)to =
            columns ? tg_pack4(v[i], v[4 + i], v[8 + i], v[12 + i])
                    : tg_pack4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]);
      start += o->between_tiles;
    }
  }
}

void tg_tiles_row(const tg_word_t *x, const void *w, int32_t words, int32_t tiles, void *out,
                  int32_t between_tiles) {
  if (tg_tile_rounding(w, words)->kind != TG_ROUND_WIDE) {
    tg_tiles_row_narrow(x, w, words, tiles, out, between_tiles);
    return;
  }
  for (; tiles; tiles--, w = (const uint8_t *)w + tg_tile_bytes(4 * words)) {
    int32_t v[16];
    tg_tile_wide(x, w, words, v);
    *(tg_word_t *)out = tg_pack4(v[0], v[1], v[2], v[3]);
    out = (uint8_t *)out + between_tiles;
  }
}
