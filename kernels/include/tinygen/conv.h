/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_CONV_H
#define TINYGEN_CONV_H

#include "tinygen/linear.h"

TG_BEGIN

/* Convolution that writes tokens: y [out_h * out_w][n], n innermost, so that no transpose follows.
 *
 * linear       weights packed group by group, each n / groups rows of k taps,
 *              k = (channels / groups) * kernel_h * kernel_w, in the order channel, row, column;
 *              linear.n is the whole n, linear.k this k; epilogue as in tg_linear_s8
 * x_stride_*   element strides of x, so that channel-first and channel-last both fit
 * x_zp         what padding reads as
 * groups       divides channels and n; each group's taps see its own channels
 */
typedef struct {
  tg_linear_t linear;
  int32_t channels, height, width;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t out_h, out_w, groups, x_zp;
  int32_t x_stride_c, x_stride_h, x_stride_w;
} tg_conv_t;

/* y rows are y_stride apart. scratch: tg_conv_s8_scratch(op) bytes, 4-byte aligned. */
void tg_conv_s8(const tg_conv_t *op, const int8_t *x, int8_t *y, int32_t y_stride, void *scratch);

size_t tg_conv_s8_scratch(const tg_conv_t *op);

TG_END

#endif
