/* SPDX-License-Identifier: Apache-2.0 */
/* JSON without libc: integers and strings. Text gathers in a line buffer until tg_end_line. */
#ifndef TG_PRINT_H
#define TG_PRINT_H

#include <stdint.h>

void tg_put(const char *text);
void tg_put_number(int64_t value);

/* In quotes; quotes, backslashes and control characters become escapes. */
void tg_put_string(const char *text);

void tg_end_line(void);

#endif
