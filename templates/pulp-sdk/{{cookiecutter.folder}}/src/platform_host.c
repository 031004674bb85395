/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 199309L
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char tg_counter_name[] = "ns";

void tg_on_cluster(void (*function)(void *), void *argument) {
  function(argument);
}

void tg_write(const char *text) {
  fputs(text, stdout);
  fflush(stdout);
}

uint32_t tg_counter(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)now.tv_sec * 1000000000u + (uint32_t)now.tv_nsec;
}

uint32_t tg_counter_units(uint32_t difference) {
  return difference;
}

int main(int argc, char **argv) {
  return tg_program(argc > 1 ? atoi(argv[1]) : -1);
}
