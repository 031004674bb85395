/* SPDX-License-Identifier: Apache-2.0 */
/* On the cluster controller of a PMSIS machine (GAP9, pulp-open). */
#include "tinygen/team.h"

#include "pmsis.h"

void tg_team_fork(int32_t cores, void (*function)(void *), void *argument) {
  pi_cl_team_fork(cores, function, argument);
}

int32_t tg_team_core(void) {
  return (int32_t)pi_core_id();
}

int32_t tg_team_cores(void) {
  return (int32_t)pi_cl_team_nb_cores();
}

void tg_team_barrier(void) {
  pi_cl_team_barrier();
}
