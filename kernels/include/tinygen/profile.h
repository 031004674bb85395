/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_PROFILE_H
#define TINYGEN_PROFILE_H

#include "tinygen/types.h"

TG_BEGIN

/* Marks in generated code: TG_PROFILE_START() on entry of <model>_run, TG_PROFILE_LAYER(i) where
 * layer i ends. They vanish unless TG_PROFILE is defined; then the firmware has to define the two
 * functions. What runs between two marks belongs to the later one; a layer may end more than once,
 * and its counts add up. */
#ifdef TG_PROFILE
void tg_profile_start(void);
void tg_profile_layer(int32_t layer);
#define TG_PROFILE_START() tg_profile_start()
#define TG_PROFILE_LAYER(layer) tg_profile_layer(layer)
#else
#define TG_PROFILE_START() ((void)0)
#define TG_PROFILE_LAYER(layer) ((void)0)
#endif

TG_END

#endif
