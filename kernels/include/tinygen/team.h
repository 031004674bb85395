/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYGEN_TEAM_H
#define TINYGEN_TEAM_H

#include "tinygen/types.h"

TG_BEGIN

/* The cores of a cluster. runtime/team_pulp.c is for PMSIS, team_threads.c for POSIX threads and
 * team_single.c for one core, where all of this is plain calls. */

/* Runs function(argument) on `cores` cores at once and returns when all have; no nesting. */
void tg_team_fork(int32_t cores, void (*function)(void *), void *argument);

/* Within tg_team_fork: this core, 0..cores-1, and how many there are. */
int32_t tg_team_core(void);
int32_t tg_team_cores(void);

/* Within tg_team_fork: waits for all cores. What they wrote before is visible after. */
void tg_team_barrier(void);

TG_END

#endif
