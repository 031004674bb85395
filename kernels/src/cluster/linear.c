/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/share.h"
#include "tinygen/cluster.h"

enum { TILE = 4, GROUP = 4, TABLE = 256 };

/* Outputs [from, to) of `rows` rows; w holds their tiles. */
static void block(const tg_linear_t *op, const uint8_t *w, const int8_t *x, int32_t rows,
                  int32_t from, int32_t to, int8_t *y, void *scratch) {
  tg_linear_t part = *op;
  part.w = w;
  part.n = to - from;
  tg_linear_s8(&part, x, rows, op->k, y + from, op->n, scratch);
}

/* Units are groups of four rows times tiles, groups outside; a core takes a run of them: the rest
 * of one group, whole groups, the start of another. first: the chunk's first tile. */
static void chunk(const tg_linear_t *op, const uint8_t *w, int32_t first, int32_t tiles,
                  const int8_t *x, int32_t rows, int8_t *y, void *scratch) {
  const int32_t groups = (rows + GROUP - 1) / GROUP, units = groups * tiles;
  const int32_t core = tg_team_core(), cores = tg_team_cores();
  const size_t tile_bytes = tg_linear_s8_weights(TILE, op->k);
  const int32_t end = tg_share(units, core + 1, cores);
  for (int32_t at = tg_share(units, core, cores); at < end;) {
    const int32_t group = at / tiles, tile = at % tiles, row = GROUP * group;
    int32_t many = 1, last = end - at < tiles - tile ? tile + end - at : tiles;
    if (tile == 0 && end - at >= tiles) {
      many = (end - at) / tiles;
      last = tiles;
    }
    const int32_t here = rows - row < GROUP * many ? rows - row : GROUP * many;
    const int32_t from = TILE * (first + tile), to = TILE * (first + last);
    block(op, w + (size_t)tile * tile_bytes, x + (ptrdiff_t)row * op->k, here, from,
          to < op->n ? to : op->n, y + (ptrdiff_t)row * op->n, scratch);
    at += many * (last - tile);
  }
}

void tg_cluster_linear_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                          int32_t tiles, void *work) {
  tg_dma_t job;
  tg_cluster_linear_ahead_s8(op, x, rows, y, tiles, work, NULL, &job);
}

void tg_cluster_linear_ahead_s8(const tg_linear_t *op, const int8_t *x, int32_t rows, int8_t *y,
                                int32_t tiles, void *work, void *first, tg_dma_t *job) {
  tg_linear_t near = *op; /* the parameters too are read again and again */
  const size_t tile_bytes = tg_linear_s8_weights(TILE, op->k);
  const size_t scratch_bytes = tg_align8(tg_linear_s8_scratch(op, GROUP));
  const int32_t core = tg_team_core(), all = (op->n + TILE - 1) / TILE;
  uint8_t *rest = work, *buffers[2];
  buffers[0] = first ? first : tg_take(&rest, (size_t)tiles * tile_bytes);
  buffers[1] = tiles < all ? tg_take(&rest, (size_t)tiles * tile_bytes) : buffers[0];
  int8_t *table = tg_take(&rest, op->table ? TABLE : 0);
  uint8_t *scratch = rest + (size_t)core * scratch_bytes;
  tg_dma_t table_job;
  if (core == 0) {
    if (!first)
      tg_load_weights(job, buffers[0], op->w, (size_t)(tiles < all ? tiles : all) * tile_bytes);
    if (op->table) {
      tg_dma_load(&table_job, table, op->table, TABLE);
      tg_dma_wait(&table_job);
    }
  }
  if (op->table)
    near.table = table;
  for (int32_t at = 0, i = 0; at < all; at += tiles, i++) {
    const int32_t here = all - at < tiles ? all - at : tiles, next = at + tiles;
    if (core == 0)
      tg_wait_weights(job);
    tg_team_barrier(); /* this chunk is there, and nobody reads the other buffer any more */
    if (core == 0 && next < all)
      tg_load_weights(job, buffers[(i + 1) & 1], (const uint8_t *)op->w + (size_t)next * tile_bytes,
                      (size_t)(all - next < tiles ? all - next : tiles) * tile_bytes);
    chunk(&near, TG_WEIGHTS(buffers[i & 1], (const uint8_t *)op->w + (size_t)at * tile_bytes), at,
          here, x, rows, y, scratch);
  }
  tg_team_barrier();
}
