/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose weights are rounded down to few levels: another function from the same source, so
 * that the usual one does not ask which. */
#define TG_LEVELS 1
#include "xpulpv2/attention_attend.c"
