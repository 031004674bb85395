/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/max.h"

static int32_t least(int32_t a, int32_t b) {
  return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b) {
  return a > b ? a : b;
}

void tg_max_s8(const tg_max_t *op, const int8_t *x, int32_t first, int32_t last, int8_t *y) {
  const int32_t channels = op->channels;
  y += (ptrdiff_t)first * channels;
  for (int32_t i = first; i < last; i++, y += channels) {
    const int32_t top = i / op->out_w * op->stride_h - op->pad_top;
    const int32_t left = i % op->out_w * op->stride_w - op->pad_left;
    const int32_t from = most(left, 0), to = least(left + op->kernel_w, op->width);
    const int32_t end = least(top + op->kernel_h, op->height);
    for (int32_t c = 0; c < channels; c++) {
      int32_t largest = -128;
      for (int32_t h = most(top, 0); h < end; h++) {
        const int8_t *row = x + ((ptrdiff_t)h * op->width + from) * channels + c;
        for (int32_t w = from; w < to; w++, row += channels)
          largest = most(largest, *row);
      }
      y[c] = (int8_t)largest;
    }
  }
}
