/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include <zephyr/kernel.h>
#include <zephyr/timing/timing.h>

#include "tinygen_model/{{ cookiecutter.model }}.h"
#include "tinygen/profile.h"

#ifdef CONFIG_TINYGEN_PROFILE

uint32_t tg_layer_counts[{{ cookiecutter.MODEL }}_LAYERS];

#ifdef CONFIG_TINYGEN_PROFILE_ICOUNT

/* In QEMU with -icount shift=8 an instruction takes 256 ns of the system clock. */
const char tg_counter_name[] = "instructions";
typedef uint32_t reading_t;

static void start_counter(void) {}

__noinline static reading_t read_counter(void) {
  return k_cycle_get_32();
}

static uint32_t between(reading_t from, reading_t to) {
  const uint64_t step = 256ull * (uint32_t)sys_clock_hw_cycles_per_sec();
  return (uint32_t)(((uint64_t)(to - from) * 1000000000u + step / 2) / step);
}

#else

const char tg_counter_name[] = "cycles";
typedef timing_t reading_t;

static void start_counter(void) {
  timing_init();
  timing_start();
}

__noinline static reading_t read_counter(void) {
  return timing_counter_get();
}

static uint32_t between(reading_t from, reading_t to) {
  return (uint32_t)timing_cycles_get(&from, &to);
}

#endif

/* A bracket opens where tg_profile_start or tg_profile_layer returns. The two return by different
 * code, so the empty bracket is known for both. */
static uint32_t empty_after_start, empty_after_layer, empty;
static reading_t opened;

void tg_profile_start(void) {
  for (int32_t i = 0; i < {{ cookiecutter.MODEL }}_LAYERS; i++)
    tg_layer_counts[i] = 0;
  empty = empty_after_start;
  opened = read_counter();
}

void tg_profile_layer(int32_t layer) {
  const uint32_t took = between(opened, read_counter());
  tg_layer_counts[layer] += took > empty ? took - empty : 0;
  empty = empty_after_layer;
  opened = read_counter();
}

/* The smallest of a few: the first reading is a slow one. */
void tg_profile_calibrate(void) {
  uint32_t start = UINT32_MAX, layer = UINT32_MAX;
  start_counter();
  for (int32_t i = 0; i < 4; i++) {
    uint32_t first, second;
    empty_after_start = empty_after_layer = 0;
    tg_profile_start();
    tg_profile_layer(0);
    first = tg_layer_counts[0];
    tg_profile_layer(0);
    second = tg_layer_counts[0] - first;
    start = MIN(first, start);
    layer = MIN(second, layer);
  }
  empty_after_start = start;
  empty_after_layer = layer;
}

#else

const char tg_counter_name[] = "none";

void tg_profile_calibrate(void) {}

#endif
