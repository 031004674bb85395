/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TG_SELF_TEST_H
#define TG_SELF_TEST_H

#include <stdint.h>

/* Runs the first `samples` stored samples, all of them if negative, and compares every output byte
 * with what the generator promised. Returns whether all are equal. */
int32_t tg_self_test(int32_t samples);

#endif
