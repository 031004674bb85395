/* SPDX-License-Identifier: Apache-2.0 */
#define TG_WEIGHT_BITS 16 /* one instruction in fifteen less, twice the flash; see tiles.h */
#include "armv7em/tiles_body.h"
