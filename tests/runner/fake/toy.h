/* SPDX-License-Identifier: Apache-2.0 */
/* The interface that the generator writes, for a model of three layers that is not one. */
#ifndef TOY_H
#define TOY_H

#include <stdint.h>

#define TOY_INPUT_SIZE 16
#define TOY_OUTPUT_SIZE 4
#define TOY_LAYERS 3
#define TOY_ARENA_BYTES 64

typedef struct {
  int32_t *work;
} toy_arena_t;

extern const toy_arena_t toy_arena;
extern const char toy_model_hash[];
extern const char toy_generator[];
extern const char *const toy_layer_names[TOY_LAYERS];

void toy_run(const toy_arena_t *arena, const int8_t *input, int8_t *output);
void toy_quantise_input(const float *x, int8_t *q);
void toy_dequantise_output(const int8_t *y, float *out);
int32_t toy_argmax(const int8_t *y);

#endif
