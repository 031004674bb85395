/* SPDX-License-Identifier: Apache-2.0 */
/* x itself in the places of attention_layout.h, four features of two tokens at a time. */
#include "armv7em/attention_layout.h"

/* Bytes p to p + 3 of a row of n; what is missing reads as `fill`. */
static inline uint32_t four(const int8_t *row, int32_t p, int32_t n, uint32_t fill) {
  if (n - p >= 4)
    return tg_load32(row + p);
  uint32_t w = (fill & 255) * 0x01010101u;
  for (int32_t i = n - 1; i >= p; i--)
    w = w << 8 | (uint8_t)row[i];
  return w;
}

void tg_attention_load_k_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *k) {
  const uint32_t zp = (uint32_t)op->k.zp, zeros = tg_pack16(zp, zp);
  uint32_t *to = k;
  for (int32_t i = 0; i < tokens; i += 2) {
    const int8_t *x0 = x + (ptrdiff_t)i * x_stride, *x1 = tokens - i > 1 ? x0 + x_stride : x0;
    for (int32_t p = 0; p < op->dim; p += 4) {
      const uint32_t w0 = four(x0, p, op->dim, zp), w1 = four(x1, p, op->dim, zp);
      const uint32_t even0 = tg_sxtb16(w0), odd0 = tg_sxtb16_odd(w0);
      const uint32_t even1 = tg_sxtb16(w1), odd1 = tg_sxtb16_odd(w1);
      *to++ = tg_ssub16(tg_pack16(even0, odd0), zeros);
      *to++ = tg_ssub16(tg_pack16(even1, odd1), zeros);
      if (op->dim - p > 2) {
        *to++ = tg_ssub16(tg_pack16_high(even0, odd0), zeros);
        *to++ = tg_ssub16(tg_pack16_high(even1, odd1), zeros);
      }
    }
  }
}

void tg_attention_load_v_s8(const tg_attention_t *op, const int8_t *x, int32_t tokens,
                            int32_t x_stride, void *v) {
  const int32_t n = op->value_dim, strip = 2 * tg_halves(tokens);
  for (int32_t i = 0; i < tokens; i += 2) {
    const int8_t *x0 = x + (ptrdiff_t)i * x_stride, *x1 = tokens - i > 1 ? x0 + x_stride : x0;
    uint32_t *to = (uint32_t *)v + i;
    for (int32_t p = 0; p < n; p += 4, to += 2 * strip) {
      const uint32_t w0 = four(x0, p, n, 0), w1 = four(x1, p, n, 0);
      const uint32_t even0 = tg_sxtb16(w0), odd0 = tg_sxtb16_odd(w0);
      const uint32_t even1 = tg_sxtb16(w1), odd1 = tg_sxtb16_odd(w1);
      to[0] = tg_pack16(even0, even1);
      to[1] = tg_pack16(odd0, odd1);
      if (n - p > 2) {
        to[strip] = tg_pack16_high(even0, even1);
        to[strip + 1] = tg_pack16_high(odd0, odd1);
      }
    }
  }
}
