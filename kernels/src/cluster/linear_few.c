/* SPDX-License-Identifier: Apache-2.0 */
/* Five rows in one register tile: output channels to cores, the code that attention of few tokens
 * has brought to the caches already. */
#include "cluster/share.h"
#include "tinygen/cluster.h"
#include "tinygen/lut.h"
#include "xpulpv2/interleave.h"

enum { TILE = 4, TABLE = 256 };

void tg_cluster_linear_few_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                              int32_t tiles, void *work) {
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const int32_t k = op->k, n = op->n, words = tg_tile_words(k), all = n / TILE;
  const size_t tile_bytes = (size_t)tg_tile_bytes(k);
  const int8_t *const far = op->table;
  const uint8_t *w = op->w;
  uint8_t *rest = work, *here, *next;
  tg_dma_t job, table_job;
  here = tg_take(&rest, (size_t)tiles * tile_bytes);
  next = tiles < all ? tg_take(&rest, (size_t)tiles * tile_bytes) : here;
  int8_t *const table = tg_take(&rest, far ? TABLE : 0);
  tg_word_t *const group = (tg_word_t *)(void *)rest;
  if (core == 0) {
    tg_load_weights(&job, here, w, (size_t)tiles * tile_bytes);
    if (far)
      tg_dma_load(&table_job, table, far, TABLE);
  }
  tg_few_interleave(core, cores, x, rows, k, group);
  if (core == 0 && far)
    tg_dma_wait(&table_job);
  const tg_few_out_t to_y = {rows, 1, n, TILE};
  for (int32_t at = 0; at < all; at += tiles) {
    const int32_t count = all - at < tiles ? all - at : tiles, behind = at + count;
    if (core == 0)
      tg_wait_weights(&job);
    tg_team_barrier(); /* this chunk is there, and nobody reads the other buffer any more */
    const uint8_t *const tile = TG_WEIGHTS(here, w);
    w += (size_t)count * tile_bytes;
    if (core == 0 && behind < all)
      tg_load_weights(&job, next, w,
                      (size_t)(all - behind < tiles ? all - behind : tiles) * tile_bytes);
    const int32_t from = tg_share(count, core, cores),
                  many = tg_share(count, core + 1, cores) - from;
    int8_t *out = y + TILE * (at + from);
    if (many)
      tg_few_project(group, tile + (size_t)from * tile_bytes, words, many, out, &to_y);
    if (many && far)
      for (int32_t i = 0; i < rows; i++, out += n)
        tg_lut_s8(table, out, TILE * many, out);
    uint8_t *const used = here;
    here = next;
    next = used;
  }
  tg_team_barrier();
}
