/* SPDX-License-Identifier: Apache-2.0 */
/* tg_conv_s8 of every target: windows are gathered into rows, and the target's tg_linear_s8 does
 * the rest. The file that includes this defines what a window is gathered with:
 *
 *   static void gather(const tg_conv_t *op, const int8_t *x, int32_t group, int32_t token,
 *                      int8_t *row);
 */
#ifndef TINYGEN_COMMON_CONV_H
#define TINYGEN_COMMON_CONV_H

#include "common/arith.h"
#include "tinygen/conv.h"

/* Windows gathered before each product: as many rows as the widest tile of any target, so that
 * weights are read once for all of them. */
enum { BLOCK = 4 };

static int32_t taps(const tg_conv_t *op) {
  return op->channels / op->groups * op->kernel_h * op->kernel_w;
}

static size_t gathered_bytes(const tg_conv_t *op) {
  return (size_t)tg_round_up(BLOCK * taps(op), 4);
}

static tg_linear_t of_group(const tg_conv_t *op, int32_t group) {
  tg_linear_t linear = op->linear;
  linear.n = op->linear.n / op->groups;
  linear.k = taps(op);
  linear.w =
      (const uint8_t *)op->linear.w + (size_t)group * tg_linear_s8_weights(linear.n, linear.k);
  if (linear.bias) { /* else the weights hold both */
    linear.bias += (ptrdiff_t)group * linear.n;
    linear.m += (ptrdiff_t)group * linear.n;
  }
  return linear;
}

void tg_conv_s8(const tg_conv_t *op, const int8_t *x, int8_t *y, int32_t y_stride, void *scratch) {
  int8_t *rows = scratch;
  void *linear_scratch = rows + gathered_bytes(op);
  const int32_t tokens = op->out_h * op->out_w;
  for (int32_t group = 0; group < op->groups; group++) {
    const tg_linear_t linear = of_group(op, group);
    for (int32_t t = 0; t < tokens; t += BLOCK) {
      const int32_t count = tokens - t < BLOCK ? tokens - t : BLOCK;
      for (int32_t i = 0; i < count; i++)
        gather(op, x, group, t + i, rows + i * linear.k);
      tg_linear_s8(&linear, rows, count, linear.k,
                   y + (ptrdiff_t)t * y_stride + (ptrdiff_t)group * linear.n, y_stride,
                   linear_scratch);
    }
  }
}

size_t tg_conv_s8_scratch(const tg_conv_t *op) {
  const tg_linear_t linear = of_group(op, 0);
  return gathered_bytes(op) + tg_linear_s8_scratch(&linear, BLOCK);
}

#endif
