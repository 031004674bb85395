/* SPDX-License-Identifier: Apache-2.0 */
/* For multipliers that the high half of a product does not fit: rare, so apart and small. */
#include "xpulpv2/tile.h"

void tg_tile_requant_wide(const tg_tile_header_t *h, int32_t s, int32_t zp, int32_t *acc,
                          int32_t count) {
  for (int32_t i = 0; i < count; i++)
    acc[i] = tg_requant(acc[i], ~h->m[i & 3], s, zp);
}
