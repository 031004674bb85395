/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose keys and values are projected, head by head. Two files make functions of it,
 * attention.c and attention_levels.c. */
#ifndef TINYGEN_CLUSTER_ATTENTION_PROJECTED_H
#define TINYGEN_CLUSTER_ATTENTION_PROJECTED_H

#include "cluster/attention_layer.h"

/* -- heads to cores -----------------------------------------------------------------------------
 */

/* Weights of part i of this core's sequence: k, v, q of its first head, of its second... */
static const void *part_weights(const layer_t *layer, int32_t i) {
  static const int order[PARTS] = {1, 2, 0};
  const tg_linear_t *const projections[PARTS] = {&layer->op->q, &layer->op->k, &layer->op->v};
  const int32_t h = tg_team_core() + i / PARTS * tg_team_cores();
  return (const uint8_t *)projections[order[i % PARTS]]->w + (size_t)h * layer->part;
}

#define WEIGHTS(i) TG_WEIGHTS(w[(i) & 1], part_weights(&layer, i))

/* rows: a constant, of attend(). */
TG_INLINE void heads_to_cores(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                              int8_t *context, int8_t *y, int32_t tiles, int ahead_of_it,
                              void *work, tg_attend_rows_t *rows) {
  layer_t layer = describe(op, tokens, context);
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t heads = op->heads;
  const int32_t mine = core < heads ? (heads - core + cores - 1) / cores : 0;
  uint8_t *rest = work;
  const tg_attention_t *const near = prepare(&layer, x, &rest);
  tg_attend_t how;
  tg_attend_prepare(&how, near, tokens);
  const int32_t ahead = query_groups(&layer, layer.groups);
  const size_t k_bytes = (size_t)tg_k_head_bytes(near->dim, tokens);
  const size_t v_bytes = (size_t)tg_v_head_bytes(near->dim, tokens);
  /* Cores run alike: 64 bytes are one word of each bank, so buffers that are a multiple of it apart
   * would make all cores wait for the same bank. */
  const size_t own = 2 * tg_align8(layer.part) + tg_align8(k_bytes) + tg_align8(v_bytes) +
                     tg_align8(query_bytes(&layer, ahead)) + tg_align8(scratch_bytes(&layer));
  uint8_t *const first = ahead_of_it ? rest + (size_t)cores * (own / 64 * 64 + 72) : NULL;
  tg_dma_t o_job;
  rest += (size_t)core * (own / 64 * 64 + 72);
  uint8_t *const w[2] = {tg_take(&rest, layer.part), tg_take(&rest, layer.part)};
  void *const k = tg_take(&rest, k_bytes), *const v = tg_take(&rest, v_bytes);
  uint8_t *const q = tg_take(&rest, query_bytes(&layer, ahead));
  tg_dma_t jobs[2];
  if (mine)
    tg_load_weights(&jobs[0], w[0], part_weights(&layer, 0), layer.part);
  if (core == 0 && first) {
    const int32_t all = tg_tile_words(near->o.n);
    tg_load_weights(&o_job, first, near->o.w,
                    (size_t)(tiles < all ? tiles : all) * (size_t)tg_tile_bytes(near->o.k));
  }
  for (int32_t i = 0; i < PARTS * mine; i++) {
    tg_wait_weights(&jobs[i & 1]);
    if (i + 1 < PARTS * mine)
      tg_load_weights(&jobs[(i + 1) & 1], w[(i + 1) & 1], part_weights(&layer, i + 1), layer.part);
    const int32_t h = core + i / PARTS * cores;
    if (i % PARTS == 0)
      project(&layer, near, &near->k, WEIGHTS(i), TG_PROJECT_K, 0, layer.groups, k);
    else if (i % PARTS == 1)
      project(&layer, near, &near->v, WEIGHTS(i), TG_PROJECT_V, 0, layer.groups, v);
    else
      for (int32_t g = 0; g < layer.groups; g += ahead) {
        const int32_t here = layer.groups - g < ahead ? layer.groups - g : ahead;
        query(&layer, near, WEIGHTS(i), g, here, q);
        attend(&layer, near, &how, rows, h, g, here, k, v, q, rest);
      }
  }
  const tg_linear_t o = near->o; /* its place becomes that of weights */
  tg_team_barrier();
  tg_cluster_linear_ahead_s8(&o, context, tokens, y, tiles, work, first, &o_job);
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
static void keys_values(const layer_t *layer, const tg_attention_t *near, const place_t *at,
                        const uint8_t *w, void *k, void *v) {
  const int32_t groups = layer->groups;
  const size_t part = tg_align8(layer->part);
  const int32_t from = tg_share(2 * groups, at->part, at->parts);
  const int32_t to = tg_share(2 * groups, at->part + 1, at->parts);
  const int32_t keys = to < groups ? to : groups;
  if (from < keys)
    project(layer, near, &near->k, w + part, TG_PROJECT_K, from, keys - from, k);
  if (to > groups) {
    const int32_t first = from > groups ? from - groups : 0;
    project(layer, near, &near->v, w + 2 * part, TG_PROJECT_V, first, to - groups - first, v);
  }
}

TG_INLINE void rows_to_cores(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                             int8_t *context, int8_t *y, int32_t tiles, int32_t teams, void *work,
                             tg_attend_rows_t *rows) {
  layer_t layer = describe(op, tokens, context);
  const int32_t heads = op->heads;
  const place_t at = find_place(teams, heads);
  uint8_t *rest = work;
  const tg_attention_t *const near = prepare(&layer, x, &rest);
  tg_attend_t how;
  tg_attend_prepare(&how, near, tokens);
  uint8_t *w[2], *k[2], *v[2];
  for (int32_t team = 0; team < at.teams; team++) /* a core without a team keeps the last one's */
    for (int i = 0; i < 2; i++) {
      uint8_t *const pieces[] = {tg_take(&rest, PARTS * tg_align8(layer.part)),
                                 tg_take(&rest, (size_t)tg_k_head_bytes(near->dim, tokens)),
                                 tg_take(&rest, (size_t)tg_v_head_bytes(near->dim, tokens))};
      if (team <= at.team || team == 0) {
        w[i] = pieces[0];
        k[i] = pieces[1];
        v[i] = pieces[2];
      }
    }
  const int32_t ahead = query_groups(&layer, (layer.groups + at.parts - 1) / at.parts);
  const int32_t end = tg_share(layer.groups, at.part + 1, at.parts);
  const size_t q_bytes = query_bytes(&layer, ahead);
  rest += (size_t)tg_team_core() * (tg_align8(q_bytes) + tg_align8(scratch_bytes(&layer)));
  void *const q = tg_take(&rest, q_bytes);
  const int leads = at.team >= 0 && at.part == 0;
  tg_dma_t jobs[PARTS];
  if (leads)
    load_head(&layer, at.team, w[0], jobs);
  for (int32_t first = 0, i = 0; first < heads; first += at.teams, i ^= 1) {
    const int32_t h = at.team < 0 ? heads : first + at.team;
    if (leads && h < heads)
      for (int part = 0; part < PARTS; part++)
        tg_dma_wait(&jobs[part]);
    tg_team_barrier(); /* weights are there; the head before last is done with */
    if (leads && h + at.teams < heads)
      load_head(&layer, h + at.teams, w[i ^ 1], jobs);
    if (h < heads)
      keys_values(&layer, near, &at, w[i], k[i], v[i]);
    tg_team_barrier();
    for (int32_t g = tg_share(layer.groups, at.part, at.parts); h < heads && g < end; g += ahead) {
      const int32_t here = end - g < ahead ? end - g : ahead;
      query(&layer, near, w[i], g, here, q);
      attend(&layer, near, &how, rows, h, g, here, k[i], v[i], q, rest);
    }
  }
  const tg_linear_t o = near->o; /* its place becomes that of weights */
  tg_team_barrier();
  tg_cluster_linear_s8(&o, context, tokens, y, tiles, work);
}

#endif
