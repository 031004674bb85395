/* SPDX-License-Identifier: Apache-2.0 */
/* Asks once a window, not once a tap, what lies inside. */
#include "tinygen/conv.h"

/* Taps of one axis that lie inside: [first, end). */
typedef struct {
  int32_t first, end;
} inside_t;

static inline inside_t inside(int32_t start, int32_t step, int32_t taps, int32_t size) {
  inside_t range = {0, taps};
  while (range.first < taps && start + range.first * step < 0)
    range.first++;
  while (range.end > range.first && start + (range.end - 1) * step >= size)
    range.end--;
  return range;
}

static void gather(const tg_conv_t *op, const int8_t *x, int32_t group, int32_t token,
                   int8_t *row) {
  const int32_t channels = op->channels / op->groups, plane = op->kernel_h * op->kernel_w;
  const int32_t top = token / op->out_w * op->stride_h - op->pad_top;
  const int32_t left = token % op->out_w * op->stride_w - op->pad_left;
  const inside_t h = inside(top, op->dilation_h, op->kernel_h, op->height);
  const inside_t w = inside(left, op->dilation_w, op->kernel_w, op->width);
  if ((h.end - h.first) * (w.end - w.first) < plane)
    for (int32_t i = 0; i < channels * plane; i++)
      row[i] = (int8_t)op->x_zp;
  const int8_t *const first = x + (ptrdiff_t)group * channels * op->x_stride_c;
  for (int32_t i = h.first; i < h.end; i++)
    for (int32_t j = w.first; j < w.end; j++) {
      const int8_t *from = first + (ptrdiff_t)(top + i * op->dilation_h) * op->x_stride_h +
                           (ptrdiff_t)(left + j * op->dilation_w) * op->x_stride_w;
      int8_t *to = row + i * op->kernel_w + j;
      for (int32_t c = channels; c; c--, from += op->x_stride_c, to += plane)
        *to = *from;
    }
}

#include "common/conv.h"
