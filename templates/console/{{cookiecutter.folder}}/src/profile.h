/* SPDX-License-Identifier: Apache-2.0 */
/* Per-layer counts: the implementation behind tinygen/profile.h. */
#ifndef TG_PROFILE_COUNTS_H
#define TG_PROFILE_COUNTS_H

#include <stdint.h>

/* Units of tg_counter that each layer took in the last run. */
extern uint32_t tg_layer_counts[];

/* Measures the empty bracket, which every later count has subtracted. Only with TG_PROFILE. */
void tg_profile_calibrate(void);

#endif
