/* SPDX-License-Identifier: Apache-2.0 */
/* attend of attention_compact.c with weights rounded down to few levels. */
#define TG_LEVELS 1
#include "armv7em/attention_compact.c"
