/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_ATTENTION_H
#define TINYGEN_ATTENTION_H

#include "tinygen/linear.h"

TG_BEGIN

/* Multi-head self-attention, in pieces that a schedule puts together:
 *
 *   project_q, project_k, project_v   x [S][E]   -> q, k, v of a range of heads
 *   attend                            q, k, v    -> context rows of one head, normalised
 *   tg_linear_s8(&op->o, ...)         context    -> y
 *
 * Logical orders: q, k [H][S][dim], v [H][value_dim][S], context [S][H*value_dim]. The bytes in
 * between (interleave, padding, 8 or 16 bit) are the target's: sizes come from tg_attention_*_bytes
 * and from tinygen.targets, and only these functions look inside. No transpose ever runs.
 *
 * q, k         n = heads * dim each; q.zp and k.zp are the zero points of q and k
 * v            n = heads * value_dim; without fused weights value_dim is dim
 * score_*      int32 scores -> int8, as in tg_linear_t
 * exp_table    [256] uint16, indexed by row maximum - score; exp_table[0] is the largest, at most
 *              2^15 - 1, and 128 * tokens * exp_table[0] < 2^31
 * context_*    one reciprocal a row: z = clz(L); r = ((2^32-1) / ((L << z) >> 15)) * mult
 *              >> (47 - z + frac - s); y = clamp8(acc * r + 2^32 offset >> s), 33 <= s <= 40
 * levels_*     of the functions with "levels" in their names only: weights e are rounded down to
 *              1 / levels of their sum, levels <= 255: f = ((2^32-1) / ((L << z) >> 15) * levels
 *              >> 8) + 1; e = (e f >> (39 - z)) << up; L = levels << up, with as many bits
 *              as exp_table[0]
 */
typedef struct {
  tg_linear_t q, k, v, o;
  int32_t heads, dim, value_dim;
  int32_t score_m, score_s, score_zp;
  const uint16_t *exp_table;
  int32_t context_mult, context_frac, context_s, context_offset;
  int32_t levels, levels_up;
} tg_attention_t;

/* Bytes of q, k or v for `heads` heads of `tokens` tokens; buffers are 4-byte aligned. Head i of a
 * buffer stands at i times the bytes of one head. */
size_t tg_attention_q_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);
size_t tg_attention_k_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);
size_t tg_attention_v_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);

/* Project `tokens` rows of x for heads [head, head + heads). scratch as for tg_linear_s8 on op->q.
 * The buffers hold exactly these heads, the first at the start. */
void tg_attention_project_q_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *q,
                               void *scratch);
void tg_attention_project_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *k,
                               void *scratch);
void tg_attention_project_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                               int32_t x_stride, int32_t head, int32_t heads, void *v,
                               void *scratch);
size_t tg_attention_project_scratch(const tg_attention_t *op, int32_t tokens);

/* Fused weights (tinygen.passes.fused), on targets that have them: x [tokens][dim] itself as keys,
 * or x [tokens][value_dim] as values, of every head, instead of project_k or project_v. The buffer
 * holds one head, which attend gets for all of them. Of op->k only zp is read. */
void tg_attention_load_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *k);
void tg_attention_load_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *v);

/* Context rows of one head: scores, exponent table, weighted sum, one reciprocal a row.
 * q     from project_q of exactly `rows` tokens, positioned at this head
 * k, v  from project_k, project_v of `tokens` tokens, positioned at this head
 * y     [rows][value_dim], rows y_stride apart (usually context + head * value_dim, stride
 *       heads * value_dim)
 * scratch: tg_attention_attend_scratch(op, rows, tokens) bytes, 4-byte aligned. */
void tg_attention_attend_s8(const tg_attention_t *op, const void *q, const void *k, const void *v,
                            int32_t rows, int32_t tokens, int8_t *y, int32_t y_stride,
                            void *scratch);
size_t tg_attention_attend_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens);

/* The same with weights of few levels (QuantLib's iSoftmax); scratch as above. */
void tg_attention_attend_levels_s8(const tg_attention_t *op, const void *q, const void *k,
                                   const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                   int32_t y_stride, void *scratch);

/* The same bits with q, k and v in 8 bits, on targets whose usual functions hold them in 16 (see
 * Target.compact): half the memory, more instructions. op->q, k, v and exp_table are packed for
 * these functions then; contracts as above. */
size_t tg_attention_q_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);
size_t tg_attention_k_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);
size_t tg_attention_v_compact_bytes(const tg_attention_t *op, int32_t heads, int32_t tokens);
void tg_attention_project_q_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *q,
                                       void *scratch);
void tg_attention_project_k_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *k,
                                       void *scratch);
void tg_attention_project_v_compact_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int32_t x_stride, int32_t head, int32_t heads, void *v,
                                       void *scratch);
size_t tg_attention_project_compact_scratch(const tg_attention_t *op, int32_t tokens);
void tg_attention_attend_compact_s8(const tg_attention_t *op, const void *q, const void *k,
                                    const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                    int32_t y_stride, void *scratch);
void tg_attention_attend_compact_levels_s8(const tg_attention_t *op, const void *q, const void *k,
                                           const void *v, int32_t rows, int32_t tokens, int8_t *y,
                                           int32_t y_stride, void *scratch);
size_t tg_attention_attend_compact_scratch(const tg_attention_t *op, int32_t rows, int32_t tokens);

/* Output projection of a schedule that streams heads, instead of tg_linear_s8(&op->o, ...): the
 * context of all heads never exists together. op->o.w is packed head by head here ([heads] blocks
 * of n x value_dim, Target.pack_output); everything else of op->o is as before, and so are the
 * bits.
 *
 * accumulate   acc[i][j] = (head == 0 ? bias[j] : acc[i][j]) + sum_p context[i][p] wo_head[j][p]
 *              context [rows][value_dim], rows context_stride apart; acc int32 [rows][n], 4-byte
 * aligned scratch: tg_attention_accumulate_scratch(op, rows) bytes, 4-byte aligned requantise
 * y[i][j] = clamp8(...acc[i][j]...) as in tg_linear_s8 */
void tg_attention_accumulate_s8(const tg_attention_t *op, const int8_t *context, int32_t rows,
                                int32_t context_stride, int32_t head, int32_t *acc, void *scratch);
size_t tg_attention_accumulate_scratch(const tg_attention_t *op, int32_t rows);
void tg_attention_requantise_s8(const tg_attention_t *op, const int32_t *acc, int32_t rows,
                                int8_t *y, int32_t y_stride);

TG_END

#endif
