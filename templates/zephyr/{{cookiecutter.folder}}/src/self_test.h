/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SELF_TEST_H
#define SELF_TEST_H

#include <stdbool.h>

/* Runs the stored samples and prints one JSON object a line; README.md describes them. False if an
 * output differs from what was promised; true at once without CONFIG_TINYGEN_SELF_TEST. */
bool self_test(void);

#endif
