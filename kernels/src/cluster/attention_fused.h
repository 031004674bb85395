/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with fused weights: x itself is the keys of all heads, or the values, or both, in one
 * place that all cores share. What is left to project goes on as in attention_projected.h. Two
 * files make functions of it, attention_fused.c and attention_fused_levels.c. */
#ifndef TINYGEN_CLUSTER_ATTENTION_FUSED_H
#define TINYGEN_CLUSTER_ATTENTION_FUSED_H

#include "cluster/attention_layer.h"

/* A head's projections: of keys or values, if those are not x, and then of queries. */
typedef struct {
  int32_t count; /* 1 or 2 */
  int other;     /* TG_PROJECT_K or TG_PROJECT_V, if there are 2 */
  size_t bytes;  /* of the larger one's weights, 8-byte aligned */
} parts_t;

static const tg_linear_t *part_linear(const tg_attention_t *op, int what) {
  return what == TG_PROJECT_K ? &op->k : what == TG_PROJECT_V ? &op->v : &op->q;
}

static size_t part_bytes(const tg_attention_t *op, int what) {
  return (size_t)tg_project_head_weights(what == TG_PROJECT_V ? op->value_dim : op->dim, op->q.k);
}

static const uint8_t *part_weights(const tg_attention_t *op, int what, int32_t h) {
  return (const uint8_t *)part_linear(op, what)->w + (size_t)h * part_bytes(op, what);
}

static parts_t describe_parts(const tg_attention_t *op) {
  const int other = op->k.n ? TG_PROJECT_K : TG_PROJECT_V;
  const size_t q = part_bytes(op, TG_PROJECT_Q), more = part_bytes(op, other);
  const int two = op->k.n || op->v.n;
  return (parts_t){1 + two, other, tg_align8(two && more > q ? more : q)};
}

static int part_at(const parts_t *parts, int32_t i) {
  return i + 1 == parts->count ? TG_PROJECT_Q : parts->other;
}

/* Keys and values of all heads together; NULL where they are projected. */
typedef struct {
  tg_word_t *k, *v;
} shared_t;

/* x as keys and values; all cores wait for it. */
static shared_t load(const layer_t *layer, const tg_attention_t *near, const int8_t *x,
                     uint8_t **work) {
  shared_t shared = {NULL, NULL};
  const int32_t k = near->q.k, words = tg_tile_words(k), step = 4 * layer->groups;
  if (!near->k.n)
    shared.k = tg_take(work, (size_t)tg_k_head_bytes(near->dim, layer->tokens));
  if (!near->v.n)
    shared.v = tg_take(work, (size_t)tg_v_head_bytes(near->value_dim, layer->tokens));
  for (int32_t g = tg_team_core(); g < layer->groups; g += tg_team_cores()) {
    const int32_t row = GROUP * g, left = layer->tokens - row;
    if (shared.k)
      tg_load_key_group(near, x + (ptrdiff_t)row * k, left < GROUP ? left : GROUP, k,
                        shared.k + g * (4 + layer->words));
    if (shared.v)
      tg_load_value_group(layer->x + g * layer->words, words, step, shared.v + 4 * g);
  }
  tg_team_barrier();
  return shared;
}

/* Bytes of one head's keys or values that are projected. */
static size_t other_bytes(const layer_t *layer, const tg_attention_t *near, const parts_t *parts) {
  if (parts->count == 1)
    return 0;
  return (size_t)(parts->other == TG_PROJECT_K ? tg_k_head_bytes(near->dim, layer->tokens)
                                               : tg_v_head_bytes(near->value_dim, layer->tokens));
}

/* `count` groups of one head's keys or values. */
static void project_other(const layer_t *layer, const tg_attention_t *near, const parts_t *parts,
                          const void *w, int32_t first, int32_t count, void *y) {
  tg_attention_t with_dim = *near;
  if (parts->other == TG_PROJECT_V)
    with_dim.dim = near->value_dim;
  project(layer, &with_dim, part_linear(near, parts->other), w, parts->other, first, count, y);
}

/* rows: a constant, of attend(). */
TG_INLINE void heads_to_cores(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                              int8_t *context, int8_t *y, int32_t tiles, int ahead_of_it,
                              void *work, tg_attend_rows_t *rows) {
  layer_t layer = describe(op, tokens, context);
  const int32_t core = tg_team_core(), cores = tg_team_cores(), heads = op->heads;
  uint8_t *rest = work;
  const tg_attention_t *const near = prepare(&layer, x, &rest);
  const parts_t parts = describe_parts(near);
  const shared_t shared = load(&layer, near, x, &rest);
  const int32_t ahead = query_groups(&layer, layer.groups);
  const size_t bytes = other_bytes(&layer, near, &parts);
  const size_t own = 2 * parts.bytes + tg_align8(bytes) + tg_align8(query_bytes(&layer, ahead)) +
                     tg_align8(scratch_bytes(&layer));
  uint8_t *const first = ahead_of_it ? rest + (size_t)cores * (own / 64 * 64 + 72) : NULL;
  tg_dma_t o_job, jobs[2];
  rest += (size_t)core * (own / 64 * 64 + 72); /* banks: see attention_projected.h */
  uint8_t *const w[2] = {tg_take(&rest, parts.bytes), tg_take(&rest, parts.bytes)};
  void *const other = tg_take(&rest, bytes);
  void *const k = shared.k ? shared.k : other, *const v = shared.v ? shared.v : other;
  uint8_t *const q = tg_take(&rest, query_bytes(&layer, ahead));
  tg_attend_t how;
  tg_attend_prepare(&how, near, tokens);
  if (core < heads)
    tg_load_weights(&jobs[0], w[0], part_weights(near, part_at(&parts, 0), core),
                    part_bytes(near, part_at(&parts, 0)));
  if (core == 0 && first) {
    const int32_t all = tg_tile_words(near->o.n);
    tg_load_weights(&o_job, first, near->o.w,
                    (size_t)(tiles < all ? tiles : all) * (size_t)tg_tile_bytes(near->o.k));
  }
  int i = 0;
  for (int32_t h = core; h < heads; h += cores)
    for (int32_t part = 0; part < parts.count; part++, i ^= 1) {
      const int last = part + 1 == parts.count;
      const int32_t next_h = last ? h + cores : h, next = last ? 0 : part + 1;
      tg_wait_weights(&jobs[i]);
      if (next_h < heads)
        tg_load_weights(&jobs[i ^ 1], w[i ^ 1], part_weights(near, part_at(&parts, next), next_h),
                        part_bytes(near, part_at(&parts, next)));
      const uint8_t *const here = TG_WEIGHTS(w[i], part_weights(near, part_at(&parts, part), h));
      if (!last) {
        project_other(&layer, near, &parts, here, 0, layer.groups, other);
        continue;
      }
      for (int32_t g = 0; g < layer.groups; g += ahead) {
        const int32_t groups = layer.groups - g < ahead ? layer.groups - g : ahead;
        query(&layer, near, here, g, groups, q);
        attend(&layer, near, &how, rows, h, g, groups, k, v, q, rest);
      }
    }
  const tg_linear_t o = near->o; /* its place becomes that of weights */
  tg_team_barrier();
  tg_cluster_linear_ahead_s8(&o, context, tokens, y, tiles, work, first, &o_job);
}

static void load_head(const tg_attention_t *near, const parts_t *parts, int32_t h, uint8_t *to,
                      tg_dma_t jobs[2]) {
  for (int32_t i = 0; i < parts->count; i++)
    tg_dma_load(&jobs[i], to + (size_t)i * parts->bytes, part_weights(near, part_at(parts, i), h),
                part_bytes(near, part_at(parts, i)));
}

TG_INLINE void rows_to_cores(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                             int8_t *context, int8_t *y, int32_t tiles, int32_t teams, void *work,
                             tg_attend_rows_t *rows) {
  layer_t layer = describe(op, tokens, context);
  const int32_t heads = op->heads;
  const place_t at = find_place(teams, heads);
  uint8_t *rest = work;
  const tg_attention_t *const near = prepare(&layer, x, &rest);
  const parts_t parts = describe_parts(near);
  const shared_t shared = load(&layer, near, x, &rest);
  const size_t w_bytes = tg_align8((size_t)parts.count * parts.bytes);
  const size_t k_bytes = tg_align8(other_bytes(&layer, near, &parts));
  uint8_t *const mine = rest + (size_t)(at.team < 0 ? 0 : at.team) * 2 * (w_bytes + k_bytes);
  rest += (size_t)at.teams * 2 * (w_bytes + k_bytes);
  const int32_t from = tg_share(layer.groups, at.part, at.parts);
  const int32_t end = tg_share(layer.groups, at.part + 1, at.parts);
  const int32_t ahead = query_groups(&layer, (layer.groups + at.parts - 1) / at.parts);
  const size_t q_bytes = query_bytes(&layer, ahead);
  rest += (size_t)tg_team_core() * (tg_align8(q_bytes) + tg_align8(scratch_bytes(&layer)));
  void *const q = tg_take(&rest, q_bytes);
  tg_attend_t how;
  tg_attend_prepare(&how, near, tokens);
  const int leads = at.team >= 0 && at.part == 0;
  tg_dma_t jobs[2];
  if (leads)
    load_head(near, &parts, at.team, mine, jobs);
  for (int32_t first = 0, i = 0; first < heads; first += at.teams, i ^= 1) {
    const int32_t h = at.team < 0 ? heads : first + at.team;
    uint8_t *const w = mine + (size_t)i * (w_bytes + k_bytes);
    uint8_t *const next = mine + (size_t)(i ^ 1) * (w_bytes + k_bytes);
    void *const other = w + w_bytes;
    if (leads && h < heads)
      for (int32_t part = 0; part < parts.count; part++)
        tg_dma_wait(&jobs[part]);
    tg_team_barrier(); /* weights are there; the head before is done with its own */
    if (leads && h + at.teams < heads)
      load_head(near, &parts, h + at.teams, next, jobs);
    if (parts.count > 1) {
      if (h < heads && from < end)
        project_other(&layer, near, &parts, w, from, end - from, other);
      tg_team_barrier();
    }
    const uint8_t *const queries = w + (size_t)(parts.count - 1) * parts.bytes;
    for (int32_t g = from; h < heads && g < end; g += ahead) {
      const int32_t here = end - g < ahead ? end - g : ahead;
      query(&layer, near, queries, g, here, q);
      attend(&layer, near, &how, rows, h, g, here, shared.k ? (void *)shared.k : other,
             shared.v ? (void *)shared.v : other, q, rest);
    }
  }
  const tg_linear_t o = near->o; /* its place becomes that of weights */
  tg_team_barrier();
  tg_cluster_linear_s8(&o, context, tokens, y, tiles, work);
}

#endif
