/* SPDX-License-Identifier: Apache-2.0 */
#include "tinygen_model/toy.h"

#include <string.h>

#include "tinygen/profile.h"

#ifndef TOY_SECTION
static int32_t work[TOY_INPUT_SIZE];
#else
__attribute__((section(TOY_SECTION))) static int32_t work[TOY_INPUT_SIZE];
#endif

const toy_arena_t toy_arena = {work};
const char toy_model_hash[] = "0123456789abcdef";
const char toy_generator[] = "0.0-\"test\"";
const char *const toy_layer_names[TOY_LAYERS] = {"widen", "mix", "sum"};

/* .data and the FPU, so that their initialisation is tested too. */
static volatile float gain = 3.0f;

#ifdef TOY_RECURSE
static int32_t recurse(int32_t depth) {
  volatile int32_t here[64];
  for (int32_t i = 0; i < 64; i++)
    here[i] = depth;
  return depth > 1 ? recurse(depth - 1) + here[1] : here[0];
}
#endif

void toy_run(const toy_arena_t *arena, const int8_t *input, int8_t *output) {
  TG_PROFILE_START();
  memset(arena->work, 0, sizeof(int32_t) * TOY_INPUT_SIZE);
  for (int32_t i = 0; i < TOY_INPUT_SIZE; i++)
    arena->work[i] = (int32_t)((float)input[i] * gain);
  TG_PROFILE_LAYER(0);
  for (int32_t round = 0; round < 10; round++)
    for (int32_t i = 0; i < TOY_INPUT_SIZE; i++)
      arena->work[i] +=
          (int32_t)(((int64_t)arena->work[(i + 5) % TOY_INPUT_SIZE] * 1048576) / 1234567);
  TG_PROFILE_LAYER(1);
  for (int32_t i = 0; i < TOY_OUTPUT_SIZE; i++) {
    uint32_t sum = 0;
    for (int32_t j = i; j < TOY_INPUT_SIZE; j += TOY_OUTPUT_SIZE)
      sum += (uint32_t)arena->work[j];
    output[i] = (int8_t)((sum & 255) - 128);
#ifdef TOY_CRASH
    if (i == 2)
      *(volatile int32_t *)TOY_CRASH = 1;
#endif
  }
#ifdef TOY_RECURSE
  arena->work[0] = recurse(TOY_RECURSE);
#endif
#ifdef TOY_HANG
  for (volatile int32_t i = 0; i < 1; i = 0)
    ;
#endif
  TG_PROFILE_LAYER(2);
}

void toy_quantise_input(const float *x, int8_t *q) {
  for (int32_t i = 0; i < TOY_INPUT_SIZE; i++)
    q[i] = (int8_t)x[i];
}

void toy_dequantise_output(const int8_t *y, float *out) {
  for (int32_t i = 0; i < TOY_OUTPUT_SIZE; i++)
    out[i] = y[i];
}

int32_t toy_argmax(const int8_t *y) {
  int32_t best = 0;
  for (int32_t i = 1; i < TOY_OUTPUT_SIZE; i++)
    if (y[i] > y[best])
      best = i;
  return best;
}
