/* SPDX-License-Identifier: Apache-2.0 */
/* As attention_few.c, with fused weights: x is the keys of all heads as it stands interleaved, and
 * maybe the values too, transposed once. Working memory, in this order: parameters, exponent table,
 * input and context (interleaved), x as values, then for every core its own.
 */
#include "cluster/attention_few.h"

typedef struct {
  const tg_attention_t *op;
  int32_t cores, values, head, o_tile; /* what comes after the transfer on its way */
  size_t q_bytes, v_bytes, tile_bytes; /* one head's weights, a tile of o's */
  transfer_t to;
} stream_t;

/* values: before a head's weights of q come those of v. */
static void start(stream_t *s) {
  const tg_attention_t *const op = s->op;
  if (s->head < op->heads && s->values) {
    LOAD(&s->to, (const uint8_t *)op->v.w + (size_t)s->head * s->v_bytes, s->v_bytes);
    s->values = 0;
  } else if (s->head < op->heads) {
    LOAD(&s->to, (const uint8_t *)op->q.w + (size_t)s->head * s->q_bytes, s->q_bytes);
    s->values = op->v.n != 0;
    s->head += s->cores;
  } else if (s->o_tile < op->o.n / TILE) {
    LOAD(&s->to, (const uint8_t *)op->o.w + (size_t)s->o_tile * s->tile_bytes, s->tile_bytes);
    s->o_tile += s->cores;
  }
}

/* Waits for the transfer on its way and starts the next. */
static const void *weights(stream_t *s) {
  const void *const here = arrived(&s->to);
  start(s);
  return here;
}

/* This core's words of all rows as values, [features][8 keys]. */
static void transpose(int32_t core, int32_t cores, const tg_word_t *group, int32_t words,
                      uint8_t *v) {
  for (int32_t p = core; p < words; p += cores)
    for (int32_t i = 0; i < TG_FEW; i++) {
      const uint32_t word = (uint32_t)group[TG_FEW * p + i];
      uint8_t *const to = v + 32 * p + i;
      to[0] = (uint8_t)word;
      to[8] = (uint8_t)(word >> 8);
      to[16] = (uint8_t)(word >> 16);
      to[24] = (uint8_t)(word >> 24);
    }
}

void tg_cluster_attention_few_fused_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                       int8_t *y, void *work) {
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  uint8_t *rest = work;
  tg_attention_t *const near = tg_take(&rest, OP_BYTES);
  uint16_t *const table = tg_take(&rest, EXP_BYTES);
  tg_dma_t job[2];
  if (core == 0) {
    tg_dma_load(&job[0], near, op, sizeof *near);
    tg_dma_load(&job[1], table, op->exp_table, EXP_BYTES);
  }
  const int32_t words = op->dim / TILE, v_words = op->value_dim / TILE;
  const int32_t o_words = op->heads * v_words, projected = op->v.n != 0;
  stream_t s = {.op = op, .cores = cores, .values = projected, .head = core, .o_tile = core};
  s.q_bytes = (size_t)words * (size_t)tg_tile_bytes(op->dim);
  s.v_bytes = projected ? (size_t)v_words * (size_t)tg_tile_bytes(op->dim) : 0;
  s.tile_bytes = (size_t)tg_tile_bytes(TILE * o_words);
  size_t larger = s.q_bytes > s.v_bytes ? s.q_bytes : s.v_bytes;
  larger = tg_align8(larger > s.tile_bytes ? larger : s.tile_bytes);
  const size_t rows = tg_align8(4u * TG_FEW * (size_t)words), keys = 32u * (size_t)v_words;
  const size_t e_bytes = tg_align8(TG_FEW * sizeof(tg_few_weights_t));
  const size_t own = 2 * larger + rows + (projected ? keys : 0) + e_bytes + TG_FEW * TG_FEW_KEYS;
  tg_word_t *const group = tg_take(&rest, rows);
  tg_word_t *const context = tg_take(&rest, 4u * TG_FEW * (size_t)o_words);
  tg_word_t *v = tg_take(&rest, projected ? 0 : keys);
  uint8_t *mine = rest + (size_t)core * (own / 64 * 64 + 72); /* banks: see attention_few.c */
  s.to.next = tg_take(&mine, larger);
  s.to.other = tg_take(&mine, larger);
  start(&s);
  tg_word_t *const q = tg_take(&mine, rows);
  if (projected)
    v = tg_take(&mine, keys);
  tg_few_weights_t *const e = tg_take(&mine, e_bytes);
  int8_t *const scores = (int8_t *)mine;
  tg_few_interleave(core, cores, x, tokens, op->dim, group);
  if (!projected)
    transpose(core, cores, group, words, (uint8_t *)v);
  if (core == 0) {
    tg_dma_wait(&job[0]);
    tg_dma_wait(&job[1]);
    near->exp_table = table;
  }
  tg_team_barrier();
  s.op = near;
  tg_few_score_t score;
  choose_rounding(&score, near);
  tg_few_context_t c = {near->context_offset, near->context_s - 32, 0};
  c.wide = ((const uint8_t *)table)[511] != 0;
  starts(group, words, near->q.zp, TILE * words * near->q.zp * near->k.zp, score.key);
  const tg_few_out_t by_rows = {TG_FEW, 1, 4, 4 * TG_FEW}, by_columns = {TG_FEW, 8, 1, 32};
  for (int32_t head = core; head < near->heads; head += cores) {
    if (projected)
      tg_few_project(group, weights(&s), words, v_words, v, &by_columns);
    tg_few_project(group, weights(&s), words, words, q, &by_rows);
    starts(q, words, near->k.zp, 0, score.row);
    tg_few_scores(q, group, words, tokens, scores, &score);
    softmax(near, scores, tokens, c.wide, e);
    tg_few_context(e, v, v_words, tokens, context + head * v_words * TG_FEW, &c);
  }
  tg_team_barrier();
  const tg_few_out_t to_y = {tokens, 1, near->o.n, TILE};
  for (int32_t tile = core; tile < near->o.n / TILE; tile += cores)
    tg_few_project(context, weights(&s), o_words, 1, y + TILE * tile, &to_y);
  tg_team_barrier();
}
