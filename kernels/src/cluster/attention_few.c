/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one to five tokens, all of them in one register tile; heads to cores, then output
 * channels to cores. Each core streams its own weights: k, v, q of its first head, of its second...
 * then its tiles of the output projection, always one transfer ahead.
 *
 * Working memory, in this order: parameters, exponent table, input and context (interleaved, see
 * few.h), then for every core its own.
 */
#include "cluster/attention_few.h"

typedef struct {
  const tg_attention_t *op;
  int32_t cores, part, head, o_tile; /* what comes after the transfer on its way */
  size_t part_bytes, tile_bytes;     /* one head's weights of one projection, a tile of o's */
  transfer_t to;
} stream_t;

/* Starts the next transfer, if there is one. */
static void start(stream_t *s) {
  const tg_attention_t *const op = s->op;
  if (s->head < op->heads) {
    const tg_linear_t *const p = s->part == 0 ? &op->k : s->part == 1 ? &op->v : &op->q;
    LOAD(&s->to, (const uint8_t *)p->w + (size_t)s->head * s->part_bytes, s->part_bytes);
    if (++s->part == PARTS) {
      s->part = 0;
      s->head += s->cores;
    }
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

void tg_cluster_attention_few_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
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
  const int32_t e_words = (op->q.k + 3) / 4, words = op->dim / TILE, o_words = op->heads * words;
  const size_t shared = OP_BYTES + EXP_BYTES + tg_align8(4u * TG_FEW * (size_t)e_words) +
                        tg_align8(4u * TG_FEW * (size_t)o_words);
  stream_t s = {.op = op, .cores = cores, .head = core, .o_tile = core};
  s.part_bytes = (size_t)words * (size_t)tg_tile_bytes(4 * e_words);
  s.tile_bytes = (size_t)tg_tile_bytes(4 * o_words);
  /* Cores run alike: 64 bytes are one word of each bank, so buffers that are a multiple of it apart
   * would make all cores wait for the same bank. */
  const size_t larger = tg_align8(s.part_bytes > s.tile_bytes ? s.part_bytes : s.tile_bytes);
  const size_t rows = tg_align8(4u * TG_FEW * (size_t)words), keys = 32u * (size_t)words;
  const size_t e_bytes = tg_align8(TG_FEW * sizeof(tg_few_weights_t));
  const size_t own = 2 * larger + 2 * rows + keys + e_bytes + TG_FEW * TG_FEW_KEYS;
  uint8_t *mine = (uint8_t *)work + shared + (size_t)core * (own / 64 * 64 + 72);
  s.to.next = tg_take(&mine, larger);
  s.to.other = tg_take(&mine, larger);
  start(&s);
  tg_word_t *const group = tg_take(&rest, 4u * TG_FEW * (size_t)e_words);
  tg_word_t *const context = tg_take(&rest, 4u * TG_FEW * (size_t)o_words);
  tg_word_t *const q = tg_take(&mine, rows), *const k = tg_take(&mine, rows);
  tg_word_t *const v = tg_take(&mine, keys);
  tg_few_weights_t *const e = tg_take(&mine, e_bytes);
  int8_t *const scores = (int8_t *)mine;
  tg_few_interleave(core, cores, x, tokens, op->q.k, group);
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
  const tg_few_out_t by_rows = {TG_FEW, 1, 4, 4 * TG_FEW}, by_columns = {TG_FEW, 8, 1, 32};
  for (int32_t head = core; head < near->heads; head += cores) {
    tg_few_project(group, weights(&s), e_words, words, k, &by_rows);
    tg_few_project(group, weights(&s), e_words, words, v, &by_columns);
    tg_few_project(group, weights(&s), e_words, words, q, &by_rows);
    starts(q, words, near->k.zp, 0, score.row);
    starts(k, words, near->q.zp, TILE * words * near->q.zp * near->k.zp, score.key);
    tg_few_scores(q, k, words, tokens, scores, &score);
    softmax(near, scores, tokens, c.wide, e);
    tg_few_context(e, v, words, tokens, context + head * words * TG_FEW, &c);
  }
  tg_team_barrier();
  const tg_few_out_t to_y = {tokens, 1, near->o.n, TILE};
  for (int32_t tile = core; tile < near->o.n / TILE; tile += cores)
    tg_few_project(context, weights(&s), o_words, 1, y + TILE * tile, &to_y);
  tg_team_barrier();
}
