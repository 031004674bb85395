/* SPDX-License-Identifier: Apache-2.0 */
/* What attention by whole heads and by query rows share, with fused weights or without. Working
 * memory, in this order: what all cores share, then for every core its own.
 *
 * Not inline: the compiler shall judge the size of these functions as in one file. */
#ifndef TINYGEN_CLUSTER_ATTENTION_LAYER_H
#define TINYGEN_CLUSTER_ATTENTION_LAYER_H

#include "cluster/share.h"
#include "common/arith.h"
#include "tinygen/cluster.h"
#include "xpulpv2/attention.h"

enum { GROUP = 4, EXP_BYTES = 512, OP_BYTES = 512, PARTS = 3, Q_BYTES = 512 };
_Static_assert(sizeof(tg_attention_t) <= OP_BYTES, "the planner keeps room for the parameters");

typedef struct {
  const tg_attention_t *op; /* the caller's, far; after prepare() a copy in working memory */
  const tg_word_t *x;       /* groups of four rows, as tg_tile_group makes them */
  int8_t *context;
  int32_t tokens, inner, groups;
  int32_t words; /* of a group of the input; before prepare(): features */
  size_t part;   /* bytes of one head's weights of one projection */
} layer_t;

static layer_t describe(const tg_attention_t *op, int32_t tokens, int8_t *context) {
  const int32_t k = op->q.k, dim = op->dim;
  layer_t layer = {op, NULL, context, tokens, op->heads * op->value_dim, tg_tile_words(tokens),
                   k,  0};
  layer.part = (size_t)tg_project_head_weights(dim, k);
  return layer;
}

/* What all heads need: parameters, the exponent table, and the input by groups of four rows.
 * Returns the parameters, near. */
static const tg_attention_t *prepare(layer_t *layer, const int8_t *x, uint8_t **work) {
  const int32_t core = tg_team_core(), cores = tg_team_cores(), k = layer->words;
  tg_attention_t *const near = tg_take(work, OP_BYTES);
  uint16_t *const table = tg_take(work, EXP_BYTES);
  tg_word_t *const groups = (tg_word_t *)(void *)*work;
  tg_dma_t job[2];
  if (core == 0) {
    tg_dma_load(&job[0], near, layer->op, sizeof *near);
    tg_dma_load(&job[1], table, layer->op->exp_table, EXP_BYTES);
  }
  layer->words = 4 * tg_tile_words(k);
  *work += 4 * (size_t)layer->groups * (size_t)layer->words;
  for (int32_t g = core; g < layer->groups; g += cores) {
    const int32_t row = GROUP * g, left = layer->tokens - row;
    tg_tile_group(x + (ptrdiff_t)row * k, left < GROUP ? left : GROUP, k, k,
                  groups + g * layer->words);
  }
  layer->x = groups;
  if (core == 0) {
    tg_dma_wait(&job[0]);
    tg_dma_wait(&job[1]);
    near->exp_table = table;
  }
  tg_team_barrier();
  layer->op = near;
  return near;
}

/* `count` groups of one head's k or v, from `first` on. */
static void project(const layer_t *layer, const tg_attention_t *near, const tg_linear_t *linear,
                    const void *w, int what, int32_t first, int32_t count, void *y) {
  tg_project_groups(near, linear, w, what, layer->x + first * layer->words, layer->tokens, first,
                    count, y);
}

/* `count` groups of query rows of a head: their parts of q. */
static void query(const layer_t *layer, const tg_attention_t *near, const void *w, int32_t first,
                  int32_t count, void *q) {
  const int32_t left = layer->tokens - GROUP * first;
  tg_project_groups(near, &near->q, w, TG_PROJECT_Q, layer->x + first * layer->words,
                    left < GROUP * count ? left : GROUP * count, 0, count, q);
}

/* rows: tg_attend_rows or tg_attend_rows_levels. */
static void attend(const layer_t *layer, const tg_attention_t *near, tg_attend_t *how,
                   tg_attend_rows_t *rows, int32_t h, int32_t first, int32_t count, const void *k,
                   const void *v, const void *q, void *scratch) {
  const int32_t row = GROUP * first, left = layer->tokens - row;
  rows(how, near, q, k, v, left < GROUP * count ? left : GROUP * count,
       layer->context + (ptrdiff_t)row * layer->inner + h * near->value_dim, layer->inner, scratch);
}

static size_t scratch_bytes(const layer_t *layer) {
  return 48u * (size_t)layer->groups; /* tg_attention_attend_scratch */
}

/* Groups of q made at a time, so that the code of neither stage need come to the instruction cache
 * again and again. most: that a core has. */
static int32_t query_groups(const layer_t *layer, int32_t most) {
  const int32_t fit = Q_BYTES / tg_q_head_bytes(layer->op->dim, GROUP);
  return fit < 1 ? 1 : fit < most ? fit : most;
}

static size_t query_bytes(const layer_t *layer, int32_t groups) {
  return (size_t)(groups * tg_q_head_bytes(layer->op->dim, GROUP));
}

/* Query rows to cores: teams of equally many take a head each and share out its rows; cores that
 * are left over only wait. */
typedef struct {
  int32_t teams, team, parts, part; /* team: -1 for a core that is left over */
} place_t;

static place_t find_place(int32_t teams, int32_t heads) {
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t most = heads < cores ? heads : cores;
  place_t at = {.teams = teams < most ? teams : most};
  at.parts = cores / at.teams;
  at.team = core / at.parts;
  at.part = core % at.parts;
  if (at.team >= at.teams)
    at.team = -1;
  return at;
}

#endif
