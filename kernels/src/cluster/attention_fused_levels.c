/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with fused weights whose softmax weights are rounded down to few levels. */
#define TG_LEVELS 1
#include "cluster/attention_fused.c"
