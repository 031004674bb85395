/* SPDX-License-Identifier: Apache-2.0 */
/* What attention of one to five tokens shares, with fused weights or without.
 *
 * Not inline: the compiler shall judge the size of these functions as in one file. */
#ifndef TINYGEN_CLUSTER_ATTENTION_FEW_H
#define TINYGEN_CLUSTER_ATTENTION_FEW_H

#include "cluster/share.h"
#include "common/arith.h"
#include "tinygen/cluster.h"
#include "xpulpv2/interleave.h"

enum { EXP_BYTES = 512, OP_BYTES = 512, PARTS = 3, TILE = 4 };
_Static_assert(sizeof(tg_attention_t) <= OP_BYTES, "the planner keeps room for the parameters");

/* A core's weights: the transfer on its way and its place, and the place that is in use. */
typedef struct {
  uint8_t *next, *other;
  tg_dma_t job;
} transfer_t;

#ifdef TG_WEIGHTS_NEAR /* share.h */
#define LOAD(t, far, size) ((t)->next = (uint8_t *)(uintptr_t)(far))
#else
#define LOAD(t, far, size) tg_dma_load(&(t)->job, (t)->next, far, size)
#endif

/* Waits for the transfer on its way, and makes room for the next; returns what came. */
static const void *arrived(transfer_t *t) {
  uint8_t *const here = t->next;
  tg_wait_weights(&t->job);
  t->next = t->other;
  t->other = here;
  return here;
}

/* The cheapest rounding of scores that holds; the planner sees to it that one does. */
static void choose_rounding(tg_few_score_t *c, const tg_attention_t *op) {
  const int32_t zeros = op->score_m ? __builtin_ctz((uint32_t)op->score_m) : 31;
  const int32_t strip = zeros < op->score_s - 1 ? zeros : op->score_s - 1;
  const int32_t m = op->score_m >> strip, s = op->score_s - strip;
  if (s <= 22) {
    c->offset = op->score_zp * (1 << s) + (1 << (s - 1));
    c->m = m - 1;
    c->shift = s;
    c->limit = m ? (INT32_MAX - (c->offset < 0 ? -c->offset : c->offset)) / m - 1 : INT32_MAX;
    c->kind = TG_ROUND_CLIP;
    return;
  }
  c->m = op->score_m << (33 - op->score_s);
  c->offset = 2 * op->score_zp + 1;
  c->shift = 1;
  c->limit = INT32_MAX;
  c->kind = TG_ROUND_HIGH;
}

/* A starting value for each of five interleaved rows: start - zp * its sum. */
static void starts(const tg_word_t *rows, int32_t words, int32_t zp, int32_t start, int32_t *to) {
  for (int32_t i = 0; i < TG_FEW; i++) {
    int32_t sum = 0;
    if (zp)
      for (int32_t p = 0; p < words; p++)
        sum = tg_sdotsp4(sum, rows[TG_FEW * p + i], TG_ONES);
    to[i] = start - zp * sum;
  }
}

/* Scores -> weights; tokens of both. */
static void softmax(const tg_attention_t *op, const int8_t *scores, int32_t tokens, int32_t wide,
                    tg_few_weights_t *e) {
  const int32_t place = wide ? 128 : 1;
  for (int32_t i = 0; i < tokens; i++, e++, scores += TG_FEW_KEYS) {
    uint8_t *const high = (uint8_t *)e->high, *const low = (uint8_t *)e->low;
    int32_t max = scores[0], sum = 0;
    for (int32_t j = 1; j < tokens; j++)
      max = scores[j] > max ? scores[j] : max;
    const uint8_t *const table = (const uint8_t *)op->exp_table + 255 - max;
    e->high[0] = e->high[1] = e->low[0] = e->low[1] = 0;
    for (int32_t j = 0; j < tokens; j++) {
      const int32_t at = scores[j], h = table[at];
      high[j] = (uint8_t)h;
      sum += h * place;
      if (wide) {
        low[j] = table[at + 256];
        sum += low[j];
      }
    }
    e->r = tg_row_reciprocal((uint32_t)sum, op->context_mult, op->context_frac, op->context_s);
  }
}

#endif
