/* SPDX-License-Identifier: Apache-2.0 */
/* Per-layer counts: the implementation behind tinygen/profile.h. */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdint.h>

/* Units of tg_counter_name that each layer took in the last run. */
extern uint32_t tg_layer_counts[];

/* "cycles", "instructions" or "none". */
extern const char tg_counter_name[];

/* Measures the empty bracket, which every later count has subtracted. */
void tg_profile_calibrate(void);

#endif
