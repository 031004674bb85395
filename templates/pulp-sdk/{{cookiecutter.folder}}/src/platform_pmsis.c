/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <stdio.h>

#include "pmsis.h"

#ifndef TG_SAMPLES
#define TG_SAMPLES -1
#endif

enum { CONTROLLER_STACK = 4096, WORKER_STACK = 2048 };

const char tg_counter_name[] = "cycles";

static struct pi_device cluster;

void tg_on_cluster(void (*function)(void *), void *argument) {
  struct pi_cluster_task task;
  pi_cluster_task(&task, function, argument);
  task.stack_size = CONTROLLER_STACK;
  task.slave_stack_size = WORKER_STACK;
  pi_cluster_send_task_to_cl(&cluster, &task);
}

void tg_write(const char *text) {
  printf("%s", text);
}

uint32_t tg_counter(void) {
  return pi_perf_read(PI_PERF_CYCLES);
}

uint32_t tg_counter_units(uint32_t difference) {
  return difference;
}

static void start_counter(void *unused) {
  (void)unused;
  pi_perf_conf(1 << PI_PERF_CYCLES);
  pi_perf_reset();
  pi_perf_start();
}

static void entry(void) {
  struct pi_cluster_conf conf;
  pi_cluster_conf_init(&conf);
  conf.id = 0;
  pi_open_from_conf(&cluster, &conf);
  if (pi_cluster_open(&cluster))
    pmsis_exit(2);
  tg_on_cluster(start_counter, NULL);
  int32_t status = tg_program(TG_SAMPLES);
  pi_cluster_close(&cluster);
  pmsis_exit(status);
}

int main(void) {
  return pmsis_kickoff((void *)entry);
}
