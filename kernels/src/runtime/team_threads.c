/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX threads stand for cores: the multicore program runs, and is checked, on any computer. */
#define _POSIX_C_SOURCE 200112L
#include "tinygen/team.h"

#include <pthread.h>
#include <stdlib.h>

enum { MOST_CORES = 64 };

typedef struct {
  void (*function)(void *);
  void *argument;
  int32_t core, cores;
  pthread_barrier_t *barrier;
} member_t;

static _Thread_local const member_t *self;

static void *start(void *member) {
  self = member;
  self->function(self->argument);
  return NULL;
}

void tg_team_fork(int32_t cores, void (*function)(void *), void *argument) {
  pthread_t threads[MOST_CORES];
  member_t members[MOST_CORES];
  pthread_barrier_t barrier;
  if (cores < 1 || cores > MOST_CORES || pthread_barrier_init(&barrier, NULL, (unsigned)cores))
    abort();
  for (int32_t i = 0; i < cores; i++) {
    members[i] = (member_t){function, argument, i, cores, &barrier};
    if (i && pthread_create(&threads[i], NULL, start, &members[i]))
      abort();
  }
  start(&members[0]);
  for (int32_t i = 1; i < cores; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
}

int32_t tg_team_core(void) {
  return self->core;
}

int32_t tg_team_cores(void) {
  return self->cores;
}

void tg_team_barrier(void) {
  pthread_barrier_wait(self->barrier);
}
