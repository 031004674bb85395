/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_L3_H
#define TINYGEN_L3_H

#include "tinygen/types.h"

#ifdef TG_PMSIS
#include "pmsis.h"

#include "bsp/ram.h"
#endif

TG_BEGIN

/* The memory behind L2: external RAM that is filled once from a file. runtime/l3_pulp.c is for
 * PMSIS (readfs in flash -> pi_ram); runtime/l3_host.c poisons the destination at start and copies
 * at wait, as the host's DMA does. */
enum {
  TG_L3_PART = 1 << 19, /* bytes that one request brings: a uDMA counts less than 2^20 */
  TG_L3_PARTS = 4
};

#ifdef TG_PMSIS
typedef struct {
  pi_cl_ram_req_t part[TG_L3_PARTS];
  int32_t parts;
} tg_l3_t;
#else
typedef struct {
  uint8_t *to;
  uint32_t at;
  size_t size;
} tg_l3_t;
#endif

/* On the fabric controller, once: opens L3 and fills it with the first `size` bytes of `file`.
 * buffer: bytes of L2 to bring them through, free again after. Returns 0, or another number if the
 * file or memory is missing. */
int32_t tg_l3_open(const char *file, size_t size, void *buffer, size_t buffer_size);

/* On the cluster's core 0: `size` bytes, at most TG_L3_PARTS * TG_L3_PART, from offset `at` in L3
 * to `far` in L2, beside the cores. Until the wait nobody touches the destination. Offsets and
 * sizes are multiples of 8. */
void tg_l3_load(tg_l3_t *job, void *far, uint32_t at, size_t size);
void tg_l3_wait(tg_l3_t *job);

TG_END

#endif
