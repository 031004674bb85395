/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen/conv.h"

static void gather(const tg_conv_t *op, const int8_t *x, int32_t group, int32_t token,
                   int8_t *row) {
  const int32_t channels = op->channels / op->groups;
  const int32_t top = token / op->out_w * op->stride_h - op->pad_top;
  const int32_t left = token % op->out_w * op->stride_w - op->pad_left;
  for (int32_t c = 0; c < channels; c++) {
    const int8_t *plane = x + (ptrdiff_t)(group * channels + c) * op->x_stride_c;
    for (int32_t i = 0; i < op->kernel_h; i++) {
      const int32_t h = top + i * op->dilation_h;
      for (int32_t j = 0; j < op->kernel_w; j++) {
        const int32_t w = left + j * op->dilation_w;
        const int inside = h >= 0 && h < op->height && w >= 0 && w < op->width;
        *row++ =
            (int8_t)(inside ? plane[(ptrdiff_t)h * op->x_stride_h + (ptrdiff_t)w * op->x_stride_w]
                            : op->x_zp);
      }
    }
  }
}

#include "common/conv.h"
