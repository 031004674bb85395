/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, time slices, a timer, a queue and a deferred log; results in tinygen's protocol. */
#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>
#include <zephyr/sys/printk.h>

LOG_MODULE_REGISTER(threads, LOG_LEVEL_INF);

#define STACK 1024
K_THREAD_STACK_ARRAY_DEFINE(stacks, 3, STACK);
static struct k_thread threads[3];
K_MSGQ_DEFINE(queue, sizeof(uint32_t), 4, 4);
K_SEM_DEFINE(ready, 0, 3);
static volatile uint32_t ticks;
static volatile uint32_t spins[2];
static volatile bool stop;

static void tick(struct k_timer *timer) {
  ARG_UNUSED(timer);
  ticks++;
}
K_TIMER_DEFINE(timer, tick, NULL);

/* Two of one priority that never wait: only time slices let both run. */
static void spin(void *me, void *b, void *c) {
  volatile float product = 1.0f;
  ARG_UNUSED(b);
  ARG_UNUSED(c);
  while (!stop) {
    spins[(uintptr_t)me]++;
    product = product * 1.5f / 1.5f;
  }
  printk("spun %d\n", (int)(product + 0.5f));
  k_sem_give(&ready);
}

static void send(void *a, void *b, void *c) {
  ARG_UNUSED(a);
  ARG_UNUSED(b);
  ARG_UNUSED(c);
  for (uint32_t i = 0; i < 10; i++) {
    k_msgq_put(&queue, &i, K_FOREVER);
    k_msleep(3);
  }
  k_sem_give(&ready);
}

int main(void) {
  uint32_t sum = 0, got;
  k_timer_start(&timer, K_MSEC(5), K_MSEC(5));
  k_thread_create(&threads[0], stacks[0], STACK, send, NULL, NULL, NULL, 5, 0, K_NO_WAIT);
  for (int i = 0; i < 10; i++) {
    k_msgq_get(&queue, &got, K_FOREVER);
    sum += got;
    LOG_INF("got %u", got);
  }
  for (uintptr_t i = 0; i < 2; i++)
    k_thread_create(&threads[1 + i], stacks[1 + i], STACK, spin, (void *)i, NULL, NULL, 7,
                    K_FP_REGS, K_NO_WAIT);
  k_msleep(40);
  stop = true;
  for (int i = 0; i < 3; i++)
    k_sem_take(&ready, K_FOREVER);
  const int64_t now = k_uptime_get();
  k_msleep(100); /* the log's thread prints */
  printk("sum %u both %d ticks %d slept %d\n", sum, spins[0] > 100 && spins[1] > 100, ticks >= 12,
         (int)(k_uptime_get() - now) >= 100);
  printk("{\"tg\":\"done\",\"samples\":1,\"equal\":1,\"stack\":100}\n");
  return 0;
}
