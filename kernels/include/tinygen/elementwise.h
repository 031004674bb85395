/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_ELEMENTWISE_H
#define TINYGEN_ELEMENTWISE_H

#include "tinygen/types.h"

TG_BEGIN

/* y = clamp8((a ma + b mb + c) >> s), 0 <= ma, mb < 2^21, c with rounding and zero points;
 * s <= 22, and the sum stays within int32. */
typedef struct {
  int32_t ma, mb, c, s;
} tg_add_t;

/* y may be a or b. */
void tg_add_s8(const tg_add_t *op, const int8_t *a, const int8_t *b, int32_t count, int8_t *y);

/* A constant b in 16 bits; mb < 2^14. y may be a. */
void tg_add_wide_s8(const tg_add_t *op, const int8_t *a, const int16_t *b, int32_t count,
                    int8_t *y);

/* y = table[x + 128]; y may be x. */
void tg_lut_s8(const int8_t *table, const int8_t *x, int32_t count, int8_t *y);

/* Row min(x + 128, count - 1) of table [count][width] for each of so many token ids, which are
 * stored less 128: y [rows][width]. */
void tg_embed_s8(const int8_t *table, int32_t count, int32_t width, const int8_t *x, int32_t rows,
                 int8_t *y);

/* y[e] = clamp8(zp + ((sum_rows x[.][e] + bias) * m + 2^(s-1) >> s)) */
typedef struct {
  int32_t bias, m, s, zp;
} tg_mean_t;

void tg_mean_s8(const tg_mean_t *op, const int8_t *x, int32_t rows, int32_t features,
                int32_t x_stride, int8_t *y);

/* The largest of each window of a plane [height][width][channels]; windows may reach beyond it by
 * the pads, and each covers at least one element. out_w: windows side by side. */
typedef struct {
  int32_t height, width, channels;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t out_w;
} tg_max_t;

/* Windows first..last-1, row by row: y[window][channels]; y points at window 0. */
void tg_max_s8(const tg_max_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y);

TG_END

#endif
