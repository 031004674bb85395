/* SPDX-License-Identifier: Apache-2.0 */
/* What main.c needs of the machine: platform_pmsis.c for GAP9 and pulp-open, platform_host.c for
 * this computer. */
#ifndef TG_PLATFORM_H
#define TG_PLATFORM_H

#include <stdint.h>

/* The program, in main.c; the platform calls it on the fabric controller, with the number of
 * samples to run or -1 for all of them. Returns the exit status. */
int32_t tg_program(int32_t samples);

/* Runs function(argument) on the cluster's controller and waits for its end. */
void tg_on_cluster(void (*function)(void *), void *argument);

/* Console: a text that ends with a null byte. */
void tg_write(const char *text);

/* A free-running counter of the cluster that wraps at 2^32; only within tg_on_cluster. */
uint32_t tg_counter(void);

/* The difference of two readings in the unit that tg_counter_name says: "cycles" or "ns". */
uint32_t tg_counter_units(uint32_t difference);
extern const char tg_counter_name[];

#endif
