/* SPDX-License-Identifier: Apache-2.0 */
/* What main.c needs of the machine; platform_*.c has it. To move the project to a board of your
 * own, this is the file to implement. */
#ifndef TG_PLATFORM_H
#define TG_PLATFORM_H

#include <stdint.h>

/* Called once, first. Returns the number of samples to run, or -1 for all of them: the first
 * argument of the program, or the last word of the semihosting command line. */
int32_t tg_platform_start(int argc, char **argv);

/* Console: a text that ends with a null byte. */
void tg_write(const char *text);

/* Ends the program; 0 is success. */
_Noreturn void tg_exit(int32_t status);

/* A free-running counter that wraps at 2^32. It is never inlined, so that what reading it costs is
 * the same everywhere and can be subtracted. */
uint32_t tg_counter(void);

/* The difference of two readings in the unit that tg_counter_name says:
 * "instructions", "cycles" or "ns". */
uint32_t tg_counter_units(uint32_t difference);
extern const char tg_counter_name[];

/* Largest use of the stack since the start, in bytes; -1 where that is not known. */
int32_t tg_stack_used(void);

#endif
