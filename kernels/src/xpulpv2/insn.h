/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of assembly for the kernels that choose their registers themselves: the PULP assembler's
 * names, or `.insn` with TG_XPULP_INSN. tests/kernels/test_xpulp_encodings.py compares the words.
 */
#ifndef TINYGEN_XPULPV2_INSN_H
#define TINYGEN_XPULPV2_INSN_H

#if defined(TG_XPULP_INSN)
#define P_LW(d, step, p) ".insn i 0x0b, 2, " d ", " p ", " step "\n"
#define P_LH(d, step, p) ".insn i 0x0b, 1, " d ", " p ", " step "\n"
#define P_LB(d, step, p) ".insn i 0x0b, 0, " d ", " p ", " step "\n"
#define P_SB(v, step, p) ".insn s 0x2b, 0, " v ", " step "(" p ")\n"
#define P_SW(v, step, p) ".insn s 0x2b, 2, " v ", " step "(" p ")\n"
#define P_SWR(v, r, p) ".insn r 0x2b, 6, 0, " r ", " p ", " v "\n"
#define P_SBR(v, r, p) ".insn r 0x2b, 4, 0, " r ", " p ", " v "\n"
#define P_LBUR(d, r, p) ".insn r 0x03, 7, 0x20, " d ", " p ", " r "\n"
#define P_SDOTSP(d, a, b) ".insn r 0x57, 1, 0x5c, " d ", " a ", " b "\n"
#define P_DOTSPH(d, a, b) ".insn r 0x57, 0, 0x4c, " d ", " a ", " b "\n"
#define P_MAX(d, b) ".insn r 0x57, 1, 0x18, " d ", " d ", " b "\n"
#define P_DOTUSP(d, a, b) ".insn r 0x57, 1, 0x44, " d ", " a ", " b "\n"
#define P_SDOTUSP(d, a, b) ".insn r 0x57, 1, 0x54, " d ", " a ", " b "\n"
#define P_SDOTUP(d, a, b) ".insn r 0x57, 1, 0x50, " d ", " a ", " b "\n"
#define P_PACKHI(d, a, b) ".insn r 0x57, 1, 0x6c, " d ", " a ", " b "\n"
#define P_PACKLO(d, a, b) ".insn r 0x57, 1, 0x70, " d ", " a ", " b "\n"
#define P_MAC(d, a, b) ".insn r 0x33, 0, 0x21, " d ", " a ", " b "\n"
#define P_CLIP8(d) ".insn r 0x33, 1, 0x0a, " d ", " d ", x8\n"
#define P_CLIPR(d, limit) ".insn r 0x33, 5, 0x0a, " d ", " d ", " limit "\n"
/* x0 and x1: the inner and the outer loop; end: label of the last instruction of the body. */
#define P_LOOP0_A3(end) ".4byte (((" end " - .) >> 1) << 20) + 0x6c07b\n"
#define P_LOOP0_T4(end) ".4byte (((" end " - .) >> 1) << 20) + 0xec07b\n"
#define P_LOOP1_T0(end) ".4byte (((" end " - .) >> 1) << 20) + 0x2c0fb\n"
#define P_LOOP1_A4(end) ".4byte (((" end " - .) >> 1) << 20) + 0x740fb\n"
#else
#define P_LW(d, step, p) "p.lw " d ", " step "(" p "!)\n"
#define P_LH(d, step, p) "p.lh " d ", " step "(" p "!)\n"
#define P_LB(d, step, p) "p.lb " d ", " step "(" p "!)\n"
#define P_SB(v, step, p) "p.sb " v ", " step "(" p "!)\n"
#define P_SW(v, step, p) "p.sw " v ", " step "(" p "!)\n"
#define P_SBR(v, r, p) "p.sb " v ", " r "(" p "!)\n"
#define P_SWR(v, r, p) "p.sw " v ", " r "(" p "!)\n"
#define P_LBUR(d, r, p) "p.lbu " d ", " r "(" p ")\n"
#define P_SDOTSP(d, a, b) "pv.sdotsp.b " d ", " a ", " b "\n"
#define P_DOTSPH(d, a, b) "pv.dotsp.h " d ", " a ", " b "\n"
#define P_MAX(d, b) "pv.max.b " d ", " d ", " b "\n"
#define P_DOTUSP(d, a, b) "pv.dotusp.b " d ", " a ", " b "\n"
#define P_SDOTUSP(d, a, b) "pv.sdotusp.b " d ", " a ", " b "\n"
#define P_SDOTUP(d, a, b) "pv.sdotup.b " d ", " a ", " b "\n"
#define P_PACKHI(d, a, b) "pv.packhi.b " d ", " a ", " b "\n"
#define P_PACKLO(d, a, b) "pv.packlo.b " d ", " a ", " b "\n"
#define P_MAC(d, a, b) "p.mac " d ", " a ", " b "\n"
#define P_CLIP8(d) "p.clip " d ", " d ", 8\n"
#define P_CLIPR(d, limit) "p.clipr " d ", " d ", " limit "\n"
#define P_LOOP0_A3(end) "lp.setup x0, a3, " end "\n"
#define P_LOOP0_T4(end) "lp.setup x0, t4, " end "\n"
#define P_LOOP1_T0(end) "lp.setup x1, t0, " end "\n"
#define P_LOOP1_A4(end) "lp.setup x1, a4, " end "\n"
#endif

/* d = (d + a) >> shift, the shift in a register. */
#if defined(TG_XPULP_INSN) || defined(__xpulp_clang__)
#define P_ADDNR(d, a, shift) ".insn r 0x5b, 2, 0x20, " d ", " a ", " shift "\n"
#else
#define P_ADDNR(d, a, shift) "p.addNr " d ", " a ", " shift "\n"
#endif

#define P_MOVE(d, a) "mv " d ", " a "\n"
#define P_SUB(d, a, b) "sub " d ", " a ", " b "\n"
#define P_ADD(d, a, b) "add " d ", " a ", " b "\n"

#define FUNCTION(name)                                                                             \
  ".section .text." name ",\"ax\",@progbits\n.align 2\n.globl " name "\n"                          \
  ".type " name ", @function\n" name ":\n.option push\n.option norvc\n"
#define END(name) ".option pop\n.size " name ", . - " name "\n"

/* A core's own instruction cache has 512 bytes in lines of 16: bodies of tiles begin on a line. */
#define LINE ".balign 16\n"

#define MULH(a, m) "mulh " a ", " a ", " m "\n"
#define MAC(a, m) P_MAC(a, a, m) /* a + a (m - 1), in one cycle; mul takes two */

/* Four results to a word, in the place of the first. */
#define PACK(a, b, c, d) P_PACKHI(a, d, c) P_PACKLO(a, b, a)

#endif
