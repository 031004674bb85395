/* SPDX-License-Identifier: Apache-2.0 */
/* Working memory, in this order: what all cores share, then for every core its own. */
#include "xpulpv2/attention.h"
#include "cluster/share.h"
#include "tinygen/cluster.h"

#ifdef TG_LEVELS /* attention_levels.c: this file again */
#define tg_cluster_attention_heads_s8 tg_cluster_attention_heads_levels_s8
#define tg_cluster_attention_rows_s8 tg_cluster_attention_rows_levels_s8
#define tg_attend_group tg_attend_group_levels
#endif

enum { GROUP = 4, EXP_BYTES = 512, PARTS = 3, Q_BYTES = 1024 };

typedef struct {
  const tg_attention_t *op; /* the caller's: far */
  const tg_word_t *x;       /* groups of four rows, as tg_tile_group makes them */
  int8_t *context;
  int32_t tokens, inner, groups;
  int32_t words; /* of a group of the input */
  size_t part;   /* bytes of one head's weights of one projection */
} layer_t;

static layer_t describe(const tg_attention_t *op, int32_t tokens, int8_t *context) {
  layer_t layer = {op, NULL, context, tokens, op->heads * op->dim, tg_tile_words(tokens), 0, 0};
  layer.words = 4 * tg_tile_words(op->q.k);
  layer.part = (size_t)tg_project_head_weights(op->dim, op->q.k);
  return layer;
}

/* What all heads need: the exponent table, and the input by groups of four rows. */
static void prepare(layer_t *layer, tg_attention_t *near, const int8_t *x, uint8_t **work) {
  const int32_t core = tg_team_core(), cores = tg_team_cores(), k = near->q.k;
  const uint16_t *far = near->exp_table;
  tg_word_t *const groups = tg_take(work, 4 * (size_t)layer->groups * (size_t)layer->words);
  tg_dma_t job;
  near->exp_table = tg_take(work, EXP_BYTES);
  if (core == 0)
    tg_dma_load(&job, (void *)(uintptr_t)near->exp_table, far, EXP_BYTES);
  for (int32_t g = core; g < layer->groups; g += cores) {
    const int32_t row = GROUP * g, left = layer->tokens - row;
    tg_tile_group(x + (ptrdiff_t)row * k, left < GROUP ? left : GROUP, k, k,
                  groups + g * layer->words);
  }
  layer->x = groups;
  if (core == 0)
    tg_dma_wait(&job);
  tg_team_barrier();
}

/* Group g of one head's q, k or v. */
static void project(const layer_t *layer, const tg_attention_t *near, const tg_linear_t *linear,
                    const void *w, int what, int32_t g, void *y) {
  tg_project_group(near, linear, w, what, layer->x + g * layer->words, layer->tokens, g, y);
}

/* A group of four query rows of head h: its part of q, and its context. */
static void query(const layer_t *layer, const tg_attention_t *near, const void *w, int32_t group,
                  void *q) {
  const int32_t left = layer->tokens - GROUP * group;
  tg_project_group(near, &near->q, w, TG_PROJECT_Q, layer->x + group * layer->words,
                   left < GROUP ? left : GROUP, 0, q);
}

static void attend(const layer_t *layer, const tg_attention_t *near, tg_attend_t *how, int32_t h,
                   int32_t group, const void *k, const void *v, const void *q, void *scratch) {
  const int32_t row = GROUP * group, left = layer->tokens - row;
  tg_attend_group(how, near, q, k, v, left < GROUP ? left : GROUP,
                  layer->context + (ptrdiff_t)row * layer->inner + h * near->dim, layer->inner,
                  scratch);
}

static size_t scratch_bytes(const layer_t *layer) {
  return tg_attention_attend_scratch(layer->op, GROUP, layer->tokens);
}

/* Groups of q made at a time where heads go to cores: all, if that is little memory, so that the
 * code of both stages need not come to the instruction cache again and again. */
static int32_t query_groups(const layer_t *layer) {
  return layer->groups * tg_q_head_bytes(layer->op->dim, GROUP) <= Q_BYTES ? layer->groups : 1;
}

static size_t query_bytes(const layer_t *layer, int32_t groups) {
  return (size_t)(groups * tg_q_head_bytes(layer->op->dim, GROUP));
}

/* -- heads to cores -----------------------------------------------------------------------------
 */

/* Weights of part i of this core's sequence: k, v, q of its first head, of its second... */
static const void *part_weights(const layer_t *layer, int32_t i) {
  static const int order[PARTS] = {1, 2, 0};
  const tg_linear_t *const projections[PARTS] = {&layer->op->q, &layer->op->k, &layer->op->v};
  const int32_t h = tg_team_core() + i / PARTS * tg_team_cores();
  return (const uint8_t *)projections[order[i % PARTS]]->w + (size_t)h * layer->part;
}

void tg_cluster_attention_heads_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                   int8_t *context, int8_t *y, int32_t tiles, void *work) {
  layer_t layer = describe(op, tokens, context);
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t mine = core < op->heads ? (op->heads - core + cores - 1) / cores : 0;
  tg_attention_t near = *op;
  tg_attend_t how;
  tg_attend_prepare(&how, op, tokens);
  uint8_t *rest = work;
  prepare(&layer, &near, x, &rest);
  const int32_t ahead = query_groups(&layer);
  const size_t q_group = query_bytes(&layer, 1);
  const size_t k_bytes = tg_attention_k_bytes(op, 1, tokens);
  const size_t v_bytes = tg_attention_v_bytes(op, 1, tokens);
  /* Cores run alike: 64 bytes are one word of each bank, so buffers that are a multiple of it apart
   * would make all cores wait for the same bank. */
  const size_t own = 2 * tg_align8(layer.part) + tg_align8(k_bytes) + tg_align8(v_bytes) +
                     tg_align8(query_bytes(&layer, ahead)) + tg_align8(scratch_bytes(&layer));
  rest += (size_t)core * (own / 64 * 64 + 72);
  uint8_t *const w[2] = {tg_take(&rest, layer.part), tg_take(&rest, layer.part)};
  void *const k = tg_take(&rest, k_bytes), *const v = tg_take(&rest, v_bytes);
  uint8_t *const q = tg_take(&rest, query_bytes(&layer, ahead));
  tg_dma_t jobs[2];
  if (mine)
    tg_dma_load(&jobs[0], w[0], part_weights(&layer, 0), layer.part);
  for (int32_t i = 0; i < PARTS * mine; i++) {
    tg_dma_wait(&jobs[i & 1]);
    if (i + 1 < PARTS * mine)
      tg_dma_load(&jobs[(i + 1) & 1], w[(i + 1) & 1], part_weights(&layer, i + 1), layer.part);
    const int32_t h = core + i / PARTS * cores;
    if (i % PARTS == 0)
      for (int32_t g = 0; g < layer.groups; g++)
        project(&layer, &near, &near.k, w[i & 1], TG_PROJECT_K, g, k);
    else if (i % PARTS == 1)
      for (int32_t g = 0; g < layer.groups; g++)
        project(&layer, &near, &near.v, w[i & 1], TG_PROJECT_V, g, v);
    else
      for (int32_t g = 0; g < layer.groups; g += ahead) {
        for (int32_t j = 0; j < ahead; j++)
          query(&layer, &near, w[i & 1], g + j, q + (size_t)j * q_group);
        for (int32_t j = 0; j < ahead; j++)
          attend(&layer, &near, &how, h, g + j, k, v, q + (size_t)j * q_group, rest);
      }
  }
  tg_team_barrier();
  tg_cluster_linear_s8(&op->o, context, tokens, y, tiles, work);
}

/* -- query rows to cores ------------------------------------------------------------------------
 */

static void load_head(const layer_t *layer, int32_t h, uint8_t *to, tg_dma_t jobs[PARTS]) {
  const tg_linear_t *const projections[PARTS] = {&layer->op->q, &layer->op->k, &layer->op->v};
  for (int i = 0; i < PARTS; i++)
    tg_dma_load(&jobs[i], to + (size_t)i * tg_align8(layer->part),
                (const uint8_t *)projections[i]->w + (size_t)h * layer->part, layer->part);
}

/* This core's part of one head's keys and values: groups of keys, then groups of values. */
static void keys_values(const layer_t *layer, const tg_attention_t *near, const uint8_t *w, void *k,
                        void *v) {
  const int32_t core = tg_team_core(), cores = tg_team_cores(), groups = layer->groups;
  const size_t part = tg_align8(layer->part);
  for (int32_t i = tg_share(2 * groups, core, cores); i < tg_share(2 * groups, core + 1, cores);
       i++)
    if (i < groups)
      project(layer, near, &near->k, w + part, TG_PROJECT_K, i, k);
    else
      project(layer, near, &near->v, w + 2 * part, TG_PROJECT_V, i - groups, v);
}

void tg_cluster_attention_rows_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                                  int8_t *context, int8_t *y, int32_t tiles, void *work) {
  layer_t layer = describe(op, tokens, context);
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  tg_attention_t near = *op;
  tg_attend_t how;
  tg_attend_prepare(&how, op, tokens);
  uint8_t *rest = work;
  prepare(&layer, &near, x, &rest);
  uint8_t *w[2], *k[2], *v[2];
  for (int i = 0; i < 2; i++) {
    w[i] = tg_take(&rest, PARTS * tg_align8(layer.part));
    k[i] = tg_take(&rest, tg_attention_k_bytes(op, 1, tokens));
    v[i] = tg_take(&rest, tg_attention_v_bytes(op, 1, tokens));
  }
  rest += (size_t)core * (tg_align8(query_bytes(&layer, 1)) + tg_align8(scratch_bytes(&layer)));
  void *const q = tg_take(&rest, query_bytes(&layer, 1));
  tg_dma_t jobs[PARTS];
  if (core == 0)
    load_head(&layer, 0, w[0], jobs);
  for (int32_t h = 0; h < op->heads; h++) {
    const int i = h & 1;
    if (core == 0)
      for (int part = 0; part < PARTS; part++)
        tg_dma_wait(&jobs[part]);
    tg_team_barrier(); /* weights are there; the head before last is done with */
    if (core == 0 && h + 1 < op->heads)
      load_head(&layer, h + 1, w[i ^ 1], jobs);
    keys_values(&layer, &near, w[i], k[i], v[i]);
    tg_team_barrier();
    for (int32_t g = core; g < layer.groups; g += cores) {
      query(&layer, &near, w[i], g, q);
      attend(&layer, &near, &how, h, g, k[i], v[i], q, rest);
    }
  }
  tg_team_barrier();
  tg_cluster_linear_s8(&op->o, context, tokens, y, tiles, work);
}
