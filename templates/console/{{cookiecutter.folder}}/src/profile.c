/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include "tinygen_model/{{ cookiecutter.model }}.h"

#include "platform.h"
#include "tinygen/profile.h"

uint32_t tg_layer_counts[{{ cookiecutter.MODEL }}_LAYERS];

#ifdef TG_PROFILE

/* A bracket opens where tg_profile_start or tg_profile_layer returns. The two return by different
 * code, so the empty bracket is known for both. */
static uint32_t empty_after_start, empty_after_layer;
static uint32_t empty, opened;

void tg_profile_start(void) {
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++)
    tg_layer_counts[i] = 0;
  empty = empty_after_start;
  opened = tg_counter();
}

void tg_profile_layer(int32_t layer) {
  uint32_t took = tg_counter_units(tg_counter() - opened);
  tg_layer_counts[layer] += took > empty ? took - empty : 0;
  empty = empty_after_layer;
  opened = tg_counter();
}

/* The smallest of a few: where counts are times, the first reading is a slow one. */
void tg_profile_calibrate(void) {
  uint32_t start = UINT32_MAX, layer = UINT32_MAX;
  for (int32_t i = 0; i < 4; i++) {
    uint32_t first, second;
    empty_after_start = empty_after_layer = 0;
    tg_profile_start();
    tg_profile_layer(0);
    first = tg_layer_counts[0];
    tg_profile_layer(0);
    second = tg_layer_counts[0] - first;
    start = first < start ? first : start;
    layer = second < layer ? second : layer;
  }
  empty_after_start = start;
  empty_after_layer = layer;
}

#endif
