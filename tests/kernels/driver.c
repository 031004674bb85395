/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a list of cases and writes down what each kernel gave; harness.py makes and judges both.
 *
 * One source for the host (sanitizers, buffers of exact size) and for emulated cores (no libc,
 * guard zones around every buffer). All streams are int32 words; bytes are padded to words.
 */
#include "tinygen/add.h"
#include "tinygen/attention.h"
#include "tinygen/conv.h"
#include "tinygen/dot_product_attention.h"
#include "tinygen/embed.h"
#include "tinygen/layernorm.h"
#include "tinygen/lut.h"
#include "tinygen/max.h"
#include "tinygen/mean.h"

#include "driver.h"

enum { MAX_BUFFERS = 128, GUARD = 16 };

typedef struct {
  uint8_t *base, *start;
  size_t size;
} buffer_t;

typedef struct {
  const int32_t *in;
  int32_t *out;
  uint8_t *arena;
  buffer_t buffers[MAX_BUFFERS];
  int count;
} run_t;

enum { POISON = 0x5A, GUARD_BYTE = 0xC3 };

/* `size` bytes that start `offset` bytes after a word boundary, poisoned. */
static void *buffer(run_t *run, size_t size, size_t offset) {
  buffer_t *b = &run->buffers[run->count++];
#ifdef TG_HOST
  b->base = malloc(size + offset ? size + offset : 1);
  b->start = b->base + offset;
#else
  b->base = run->arena;
  b->start = b->base + GUARD + offset;
  run->arena += (2 * GUARD + offset + size + 7) / 8 * 8;
  for (uint8_t *p = b->base; p < run->arena; p++)
    *p = GUARD_BYTE;
#endif
  b->size = size;
  for (size_t i = 0; i < size; i++)
    b->start[i] = POISON;
  return b->start;
}

/* Frees everything; returns the number of guard bytes that were overwritten. */
static int32_t release(run_t *run) {
  int32_t bad = 0;
  for (int i = 0; i < run->count; i++) {
    buffer_t *b = &run->buffers[i];
#ifdef TG_HOST
    free(b->base);
#else
    for (uint8_t *p = b->base; p < b->start; p++)
      bad += *p != GUARD_BYTE;
    for (uint8_t *p = b->start + b->size; p < b->start + b->size + GUARD; p++)
      bad += *p != GUARD_BYTE;
#endif
  }
#ifndef TG_HOST
  run->arena = run->count ? run->buffers[0].base : run->arena;
#endif
  run->count = 0;
  return bad;
}

static int32_t word(run_t *run) {
  return *run->in++;
}

static void *blob(run_t *run, size_t offset) {
  const size_t size = (size_t)word(run);
  uint8_t *copy = buffer(run, size, offset);
  const uint8_t *from = (const uint8_t *)run->in;
  for (size_t i = 0; i < size; i++)
    copy[i] = from[i];
  run->in += (size + 3) / 4;
  return size ? copy : NULL;
}

static void put(run_t *run, size_t value) {
  *run->out++ = (int32_t)value;
}

static void put_bytes(run_t *run, const void *from, size_t size) {
  put(run, size);
  uint8_t *to = (uint8_t *)run->out;
  for (size_t i = 0; i < size; i++)
    to[i] = ((const uint8_t *)from)[i];
  run->out += (size + 3) / 4;
}

static size_t span(int32_t rows, int32_t stride, int32_t row) {
  return (size_t)(rows - 1) * (size_t)stride + (size_t)row;
}

static tg_linear_t linear(run_t *run) {
  tg_linear_t op;
  op.k = word(run);
  op.n = word(run);
  op.s = word(run);
  op.zp = word(run);
  op.form = word(run);
  op.w = blob(run, 0);
  op.bias = blob(run, 0);
  op.m = blob(run, 0);
  op.table = blob(run, 1);
  return op;
}

static void run_linear(run_t *run) {
  const int32_t rows = word(run), x_stride = word(run), y_stride = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  const tg_linear_t op = linear(run);
  const int8_t *x = blob(run, x_offset);
  const size_t y_size = span(rows, y_stride, op.n);
  const size_t scratch_size = tg_linear_s8_scratch(&op, rows);
  int8_t *y = buffer(run, y_size, y_offset);
  void *scratch = scratch_size ? buffer(run, scratch_size, 0) : NULL;
  const uint32_t start = ticks();
  tg_linear_s8(&op, x, rows, x_stride, y, y_stride, scratch);
  put(run, ticks() - start);
  put(run, 2);
  put(run, tg_linear_s8_weights(op.n, op.k));
  put(run, scratch_size);
  put_bytes(run, y, y_size);
}

static void run_conv(run_t *run) {
  tg_conv_t op;
  op.channels = word(run);
  op.height = word(run);
  op.width = word(run);
  op.kernel_h = word(run), op.kernel_w = word(run);
  op.stride_h = word(run), op.stride_w = word(run);
  op.dilation_h = word(run), op.dilation_w = word(run);
  op.pad_top = word(run), op.pad_left = word(run);
  op.out_h = word(run), op.out_w = word(run);
  op.groups = word(run), op.x_zp = word(run);
  op.x_stride_c = word(run), op.x_stride_h = word(run), op.x_stride_w = word(run);
  const int32_t y_stride = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  op.linear = linear(run);
  const int8_t *x = blob(run, x_offset);
  const size_t y_size = span(op.out_h * op.out_w, y_stride, op.linear.n);
  const size_t scratch_size = tg_conv_s8_scratch(&op);
  int8_t *y = buffer(run, y_size, y_offset);
  void *scratch = buffer(run, scratch_size, 0);
  const uint32_t start = ticks();
  tg_conv_s8(&op, x, y, y_stride, scratch);
  put(run, ticks() - start);
  put(run, 1);
  put(run, scratch_size);
  put_bytes(run, y, y_size);
}

typedef void attend_t(const tg_attention_t *, const void *, const void *, const void *, int32_t,
                      int32_t, int8_t *, int32_t, void *);

/* The layer as a planner may schedule it: `head_block` heads of K and V at a time, `row_block`
 * query rows at a time. */
static void run_attention(run_t *run) {
  const int32_t tokens = word(run), x_stride = word(run), row_block = word(run);
  const int32_t head_block = word(run), context_stride = word(run);
  const size_t x_offset = (size_t)word(run), context_offset = (size_t)word(run);
  tg_attention_t op;
  op.heads = word(run);
  op.dim = word(run);
  op.value_dim = word(run);
  op.score_m = word(run), op.score_s = word(run), op.score_zp = word(run);
  op.context_mult = word(run), op.context_frac = word(run);
  op.context_s = word(run), op.context_offset = word(run);
  op.levels = word(run), op.levels_up = word(run);
  op.exp_table = blob(run, 0);
  op.q = linear(run);
  op.k = linear(run);
  op.v = linear(run);
  op.o = linear(run);
  tg_attention_t streamed = op; /* the same layer, its output projection packed head by head */
  streamed.o = linear(run);
  const int8_t *x = blob(run, x_offset);
  /* fused weights: x itself, one head for all */
  attend_t *const attend_head = op.levels ? tg_attention_attend_levels_s8 : tg_attention_attend_s8;
  const int load_k = op.k.w == NULL, load_v = op.v.w == NULL;
  const size_t context_size = span(tokens, context_stride, op.heads * op.value_dim);
  int8_t *context = buffer(run, context_size, context_offset);
  const size_t y_size = span(tokens, op.o.n, op.o.n);
  int8_t *y = buffer(run, y_size, 3);
  const size_t o_scratch = tg_linear_s8_scratch(&op.o, tokens);
  uint32_t total = 0;
  for (int32_t head = 0; head < op.heads; head += head_block) {
    const int32_t heads = head + head_block > op.heads ? op.heads - head : head_block;
    uint8_t *k = buffer(run, tg_attention_k_bytes(&op, load_k ? 1 : heads, tokens), 0);
    uint8_t *v = buffer(run, tg_attention_v_bytes(&op, load_v ? 1 : heads, tokens), 0);
    const size_t k_head = load_k ? 0 : tg_attention_k_bytes(&op, 1, tokens);
    const size_t v_head = load_v ? 0 : tg_attention_v_bytes(&op, 1, tokens);
    void *scratch = buffer(run, tg_attention_project_scratch(&op, tokens), 0);
    uint32_t start = ticks();
    if (load_k)
      tg_attention_load_k_s8(&op, x, tokens, x_stride, k);
    else
      tg_attention_project_k_s8(&op, x, tokens, x_stride, head, heads, k, scratch);
    if (load_v)
      tg_attention_load_v_s8(&op, x, tokens, x_stride, v);
    else
      tg_attention_project_v_s8(&op, x, tokens, x_stride, head, heads, v, scratch);
    total += ticks() - start;
    for (int32_t row = 0; row < tokens; row += row_block) {
      const int keep = run->count;
      uint8_t *arena = run->arena;
      const int32_t rows = row + row_block > tokens ? tokens - row : row_block;
      uint8_t *q = buffer(run, tg_attention_q_bytes(&op, heads, rows), 0);
      void *q_scratch = buffer(run, tg_attention_project_scratch(&op, rows), 0);
      void *attend = buffer(run, tg_attention_attend_scratch(&op, rows, tokens), 0);
      start = ticks();
      tg_attention_project_q_s8(&op, x + (ptrdiff_t)row * x_stride, rows, x_stride, head, heads, q,
                                q_scratch);
      for (int32_t h = 0; h < heads; h++)
        attend_head(&op, q + (size_t)h * tg_attention_q_bytes(&op, 1, rows), k + (size_t)h * k_head,
                    v + (size_t)h * v_head, rows, tokens,
                    context + (ptrdiff_t)row * context_stride + (head + h) * op.value_dim,
                    context_stride, attend);
      total += ticks() - start;
      run_t block = *run; /* check and drop this block's three buffers only */
      block.count = 3;
      for (int i = 0; i < 3; i++)
        block.buffers[i] = run->buffers[keep + i];
      if (release(&block))
        context[0] = (int8_t)(context[0] ^ 0x55); /* a wrong answer for a broken guard */
      run->count = keep;
      run->arena = arena;
    }
  }
  void *scratch = o_scratch ? buffer(run, o_scratch, 0) : NULL;
  const uint32_t start = ticks();
  tg_linear_s8(&op.o, context, tokens, context_stride, y, op.o.n, scratch);
  total += ticks() - start;
  const size_t stream_scratch = tg_attention_accumulate_scratch(&streamed, tokens);
  int8_t *y_streamed = buffer(run, y_size, 1);
  int32_t *acc = buffer(run, (size_t)tokens * (size_t)op.o.n * sizeof *acc, 0);
  scratch = stream_scratch ? buffer(run, stream_scratch, 0) : NULL;
  for (int32_t h = 0; h < op.heads; h++)
    tg_attention_accumulate_s8(&streamed, context + (ptrdiff_t)h * op.value_dim, tokens,
                               context_stride, h, acc, scratch);
  tg_attention_requantise_s8(&streamed, acc, tokens, y_streamed, op.o.n);
  put(run, total);
  put(run, 7);
  put(run, tg_attention_q_bytes(&op, op.heads, row_block));
  put(run, tg_attention_k_bytes(&op, op.heads, tokens));
  put(run, tg_attention_v_bytes(&op, op.heads, tokens));
  put(run, tg_attention_project_scratch(&op, tokens));
  put(run, tg_attention_attend_scratch(&op, row_block, tokens));
  put(run, o_scratch);
  put(run, stream_scratch);
  put_bytes(run, context, context_size);
  put_bytes(run, y, y_size);
  put_bytes(run, y_streamed, y_size);
}

typedef void layernorm_t(const tg_layernorm_t *, const int8_t *, int32_t, int32_t, int8_t *,
                         int32_t);

static void run_norm(run_t *run, layernorm_t *kernel) {
  const int32_t rows = word(run), x_stride = word(run), y_stride = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  const int in_place = word(run);
  tg_layernorm_t op;
  op.features = word(run);
  op.frac = word(run);
  op.s = word(run);
  const uint32_t low = (uint32_t)word(run);
  op.eps = (int64_t)((uint64_t)(uint32_t)word(run) << 32 | low);
  op.x_zp = word(run);
  tg_layernorm_steps_t in_steps;
  in_steps.step = (uint32_t)word(run);
  in_steps.step |= (uint64_t)(uint32_t)word(run) << 32;
  in_steps.most = word(run);
  op.gamma = blob(run, 0);
  op.beta = blob(run, 0);
  int8_t *x = blob(run, x_offset);
  const size_t y_size = span(rows, y_stride, op.features);
  int8_t *y = in_place ? x : buffer(run, y_size, y_offset);
  const uint32_t start = ticks();
  if (kernel) {
    kernel(&op, x, rows, x_stride, y, y_stride);
  } else {
    in_steps.norm = op;
    tg_layernorm_steps_s8(&in_steps, x, rows, x_stride, y, y_stride);
  }
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, y_size);
}

static void run_layernorm(run_t *run) {
  run_norm(run, tg_layernorm_s8);
}

static void run_layernorm_whole(run_t *run) {
  run_norm(run, tg_layernorm_whole_s8);
}

static void run_layernorm_steps(run_t *run) {
  run_norm(run, NULL);
}

static void run_dot_product_attention(run_t *run) {
  const int32_t rows = word(run), keys = word(run);
  const size_t q_offset = (size_t)word(run), k_offset = (size_t)word(run);
  const size_t v_offset = (size_t)word(run), y_offset = (size_t)word(run);
  tg_dot_product_attention_t op;
  op.heads = word(run);
  op.dim = word(run);
  op.q_zp = word(run), op.k_zp = word(run), op.v_zp = word(run);
  op.score_m = word(run), op.score_s = word(run), op.score_zp = word(run);
  op.context_mult = word(run), op.context_frac = word(run);
  op.context_s = word(run), op.context_offset = word(run);
  op.total = word(run), op.up = word(run), op.most = word(run);
  op.exp_table = blob(run, 0);
  op.mask_stride = word(run);
  op.mask = blob(run, 1);
  const int8_t *q = blob(run, q_offset), *k = blob(run, k_offset), *v = blob(run, v_offset);
  const size_t size = (size_t)(rows * op.heads * op.dim);
  const size_t scratch_size = tg_dot_product_attention_scratch(&op, keys);
  int8_t *y = buffer(run, size, y_offset);
  void *scratch = buffer(run, scratch_size, 0);
  const uint32_t start = ticks();
  tg_dot_product_attention_s8(&op, q, k, v, rows / 2, rows, keys, y, scratch);
  tg_dot_product_attention_s8(&op, q, k, v, 0, rows / 2, keys, y, scratch);
  put(run, ticks() - start);
  put(run, 1);
  put(run, scratch_size);
  put_bytes(run, y, size);
}

static void run_add(run_t *run) {
  const int32_t count = word(run), in_place = word(run);
  const size_t a_offset = (size_t)word(run), b_offset = (size_t)word(run);
  const size_t y_offset = (size_t)word(run);
  tg_add_t op;
  op.ma = word(run);
  op.mb = word(run);
  op.c = word(run);
  op.s = word(run);
  int8_t *a = blob(run, a_offset), *b = blob(run, b_offset);
  int8_t *y = in_place == 1 ? a : in_place == 2 ? b : buffer(run, (size_t)count, y_offset);
  const uint32_t start = ticks();
  tg_add_s8(&op, a, b, count, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, (size_t)count);
}

static void run_add_wide(run_t *run) {
  const int32_t count = word(run), in_place = word(run);
  const size_t a_offset = (size_t)word(run), y_offset = (size_t)word(run);
  tg_add_t op;
  op.ma = word(run);
  op.mb = word(run);
  op.c = word(run);
  op.s = word(run);
  int8_t *a = blob(run, a_offset);
  const int16_t *b = blob(run, 0);
  int8_t *y = in_place ? a : buffer(run, (size_t)count, y_offset);
  const uint32_t start = ticks();
  tg_add_wide_s8(&op, a, b, count, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, (size_t)count);
}

static void run_lut(run_t *run) {
  const int32_t count = word(run), in_place = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  const int8_t *table = blob(run, 3);
  int8_t *x = blob(run, x_offset);
  int8_t *y = in_place ? x : buffer(run, (size_t)count, y_offset);
  const uint32_t start = ticks();
  tg_lut_s8(table, x, count, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, (size_t)count);
}

static void run_mean(run_t *run) {
  const int32_t rows = word(run), features = word(run), x_stride = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  tg_mean_t op;
  op.bias = word(run);
  op.m = word(run);
  op.s = word(run);
  op.zp = word(run);
  const int8_t *x = blob(run, x_offset);
  int8_t *y = buffer(run, (size_t)features, y_offset);
  const uint32_t start = ticks();
  tg_mean_s8(&op, x, rows, features, x_stride, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, (size_t)features);
}

static void run_max(run_t *run) {
  tg_max_t op;
  op.height = word(run);
  op.width = word(run);
  op.channels = word(run);
  op.kernel_h = word(run);
  op.kernel_w = word(run);
  op.stride_h = word(run);
  op.stride_w = word(run);
  op.pad_top = word(run);
  op.pad_left = word(run);
  op.out_w = word(run);
  const int32_t windows = word(run);
  const size_t x_offset = (size_t)word(run), y_offset = (size_t)word(run);
  const int8_t *x = blob(run, x_offset);
  int8_t *y = buffer(run, (size_t)(windows * op.channels), y_offset);
  const uint32_t start = ticks();
  tg_max_s8(&op, x, windows / 2, windows, y);
  tg_max_s8(&op, x, 0, windows / 2, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, (size_t)(windows * op.channels));
}

static void run_embed(run_t *run) {
  const int32_t count = word(run), width = word(run), rows = word(run);
  const size_t table_offset = (size_t)word(run), x_offset = (size_t)word(run);
  const size_t y_offset = (size_t)word(run), size = (size_t)(rows * width);
  const int8_t *table = blob(run, table_offset), *x = blob(run, x_offset);
  int8_t *y = buffer(run, size, y_offset);
  const uint32_t start = ticks();
  tg_embed_s8(table, count, width, x, rows, y);
  put(run, ticks() - start);
  put(run, 0);
  put_bytes(run, y, size);
}

size_t run_cases(const int32_t *in, int32_t *out, uint8_t *arena) {
  static void (*const run_op[])(run_t *) = {run_linear,
                                            run_conv,
                                            run_attention,
                                            run_layernorm,
                                            run_add,
                                            run_lut,
                                            run_mean,
                                            run_max,
                                            run_layernorm_whole,
                                            run_add_wide,
                                            run_embed,
                                            run_layernorm_steps,
                                            run_dot_product_attention};
  run_t run = {.in = in, .out = out, .arena = arena};
  for (int32_t left = word(&run); left; left--) {
    run_op[word(&run)](&run);
    put(&run, (size_t)release(&run));
  }
  return (size_t)(run.out - out) * sizeof *out;
}
