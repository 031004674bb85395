/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_CLUSTER_H
#define TINYGEN_CLUSTER_H

#include "tinygen/attention.h"
#include "tinygen/conv.h"
#include "tinygen/dma.h"
#include "tinygen/dot_product_attention.h"
#include "tinygen/layernorm.h"

TG_BEGIN

/* The operators on a cluster: every core of a team (tinygen/team.h) calls the same function with
 * the same arguments, and when it returns, the whole result is there. Activations and `work` are in
 * the near memory (L1), parameters in the far one (L2): tg_dma brings them, weights in chunks, the
 * next on its way while the cores use the present one. Rows have no gaps between them.
 *
 * work: `share` of tinygen.operators says how many bytes; 8-byte aligned.
 */

/* Near memory <-> far memory, as it is. */
void tg_cluster_load(void *near, const void *far, size_t size);
void tg_cluster_store(void *far, const void *near, size_t size);

/* tiles: weight tiles (of four outputs) in a chunk. */
void tg_cluster_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                          int32_t tiles, void *work);

/* Up to five rows in one register tile; n is a multiple of four. */
void tg_cluster_linear_few_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                              int32_t tiles, void *work);

/* The first with the first chunk's weights in `first`, on their way since core 0 started `job`. */
void tg_cluster_linear_ahead_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                                int32_t tiles, void *work, void *first, tg_dma_t *job);

/* All weights at once. */
void tg_cluster_conv_s8(const tg_conv_t *op, const int8_t *x, int8_t *y, void *work);

/* Whole heads to cores: each core streams its own weights, and holds one head's keys and values.
 * context: [tokens][heads * dim], near. tiles: of the output projection, in a chunk. ahead: the
 * first such chunk has a place of its own behind everything else in work, and comes early. */
void tg_cluster_attention_heads_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                   int8_t *context, int8_t *y, int32_t tiles, int ahead,
                                   void *work);

/* One head after the other for each of `teams` teams of cores, its query rows to their cores by
 * groups of four. */
void tg_cluster_attention_rows_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                  int8_t *context, int8_t *y, int32_t tiles, int32_t teams,
                                  void *work);

/* One to five tokens: heads to cores, all tokens in one register tile. dim and o.n are multiples of
 * four; no table of o's. */
void tg_cluster_attention_few_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                 int8_t *y, void *work);

/* The same where x itself is the keys, and maybe the values, of all heads (fused weights; dim and
 * value_dim multiples of four). */
void tg_cluster_attention_few_fused_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int8_t *y, void *work);

/* As the first two, with weights of few levels (QuantLib's iSoftmax). */
void tg_cluster_attention_heads_levels_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                          int8_t *context, int8_t *y, int32_t tiles, int ahead,
                                          void *work);
void tg_cluster_attention_rows_levels_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                         int8_t *context, int8_t *y, int32_t tiles, int32_t teams,
                                         void *work);

/* With fused weights: x itself is the keys of all heads (op->k.n is 0, op->dim the features of x),
 * or the values (op->v.n is 0, op->value_dim the features of x), or both. context: [tokens][heads *
 * value_dim]. */
void tg_cluster_attention_fused_heads_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                         int8_t *context, int8_t *y, int32_t tiles, int ahead,
                                         void *work);
void tg_cluster_attention_fused_rows_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                        int8_t *context, int8_t *y, int32_t tiles, int32_t teams,
                                        void *work);
void tg_cluster_attention_fused_heads_levels_s8(const tg_attention_t *op, const int8_t *x,
                                                int32_t tokens, int8_t *context, int8_t *y,
                                                int32_t tiles, int ahead, void *work);
void tg_cluster_attention_fused_rows_levels_s8(const tg_attention_t *op, const int8_t *x,
                                               int32_t tokens, int8_t *context, int8_t *y,
                                               int32_t tiles, int32_t teams, void *work);

void tg_cluster_layernorm_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows, int8_t *y,
                             void *work);

void tg_cluster_layernorm_whole_s8(const tg_layernorm_t *op, const int8_t *x, int32_t rows,
                                   int8_t *y, void *work);

void tg_cluster_layernorm_steps_s8(const tg_layernorm_steps_t *op, const int8_t *x, int32_t rows,
                                   int8_t *y, void *work);

/* Rows to cores; the mask is read where it is, far. q, k, v near. */
void tg_cluster_dot_product_attention_s8(const tg_dot_product_attention_t *op, const int8_t *q,
                                         const int8_t *k, const int8_t *v, int32_t rows,
                                         int32_t keys, int8_t *y, void *work);

TG_END

#endif
