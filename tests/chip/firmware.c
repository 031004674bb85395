/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware as a vendor's would begin: vector table, clocks, a USART, then one scenario, chosen by
 * -DSCENARIO=name. family.h holds the registers of the family, from its reference manual. */
#include <stdint.h>

#include "family.h"

#define REG(address) (*(volatile uint32_t *)(address))
#define KEEP __attribute__((noinline, noclone, used))

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;
int main(void);

/* ---- Start-up ---- */

KEEP void reset_handler(void) {
  uint32_t *from = &data_load, *to = &data_start;
  while (to < &data_end)
    *to++ = *from++;
  for (to = &bss_start; to < &bss_end; to++)
    *to = 0;
#ifdef HAS_FPU
  REG(0xE000ED88) |= 0xFu << 20;
  __asm volatile("dsb\n isb");
#endif
  main();
  for (;;)
    __asm volatile("wfi");
}

static void start_clocks(void) {
#ifdef FLASH_ACR
  REG(FLASH_ACR) = (REG(FLASH_ACR) & ~0xFu) | 4;
  while ((REG(FLASH_ACR) & 0xF) != 4)
    ;
#endif
  POWER_READY();
  REG(RCC_CR) |= HSE_ON;
  while (!(REG(RCC_CR) & HSE_READY))
    ;
  REG(RCC_CR) |= PLL_ON;
  while (!(REG(RCC_CR) & PLL_READY))
    ;
  REG(RCC_CFGR) = (REG(RCC_CFGR) & ~SW_MASK) | SW_PLL;
  while ((REG(RCC_CFGR) & SWS_MASK) != SWS_PLL)
    ;
}

static void put(char c) {
#ifdef USART_ISR_TDR
  while (!(REG(USART + 0x1C) & (1 << 7)))
    ;
  REG(USART + 0x28) = (uint8_t)c;
#else
  while (!(REG(USART) & (1 << 7)))
    ;
  REG(USART + 4) = (uint8_t)c;
#endif
}

static void print(const char *text) {
  while (*text)
    put(*text++);
}

static void number(uint32_t n) {
  char digits[11];
  int i = 10;
  digits[10] = 0;
  do {
    digits[--i] = (char)('0' + n % 10);
    n /= 10;
  } while (n);
  print(&digits[i]);
}

static void done(void) {
  print("{\"tg\":\"done\",\"samples\":1,\"equal\":1,\"stack\":100}\n");
}

/* ---- What works ---- */

volatile uint32_t sink, ticks, calls, order;
uint32_t words[64] = {1, 2, 3, 4};

KEEP void hello(void) {
  print("{\"tg\":\"boot\",\"model\":\"toy\",\"hash\":\"abc\",\"generator\":\"0\",\"layers\":1,"
        "\"samples\":1,\"counter\":\"cycles\"}\n");
  print("{\"tg\":\"sample\",\"i\":0,\"equal\":true,\"argmax\":1,\"label\":1,\"total\":");
  number(words[3] + 96);
  print(",\"counts\":[100]}\n");
  done();
}

#ifdef HAS_CYCLES
/* A loop of known length: two instructions a turn, and the branch into it is the last of them. */
KEEP void turn(uint32_t n) {
  __asm volatile("1: subs %0, #1\n bne 1b" : "+l"(n) : : "cc");
}

KEEP uint32_t measure(uint32_t n) {
  const uint32_t before = REG(0xE0001004);
  turn(n);
  return REG(0xE0001004) - before;
}

KEEP void cycles(void) {
  measure(10);
  print("turns ");
  number(measure(1000) - measure(500));
  print("\n");
  done();
}
#endif

/* Ten ticks of SysTick while the core sleeps: its handler counts. */
KEEP void systick(void) {
  REG(0xE000E014) = 9999;
  REG(0xE000E018) = 0;
  REG(0xE000E010) = 7;
  while (ticks < 10)
    __asm volatile("wfi");
  REG(0xE000E010) = 0;
  print("ticks ");
  number(ticks);
  print("\n");
  done();
}

/* An interrupt that waits behind PRIMASK, and one that waits behind a more urgent one. */
KEEP void masks(void) {
  REG(0xE000E100) = 3; /* interrupts 0 and 1 */
  __asm volatile("cpsid i");
  REG(0xE000E200) = 1;
  __asm volatile("dsb\n isb");
  order = order * 10 + 1;
  __asm volatile("cpsie i\n isb");
  order = order * 10 + 3; /* the handler has put a 2 before it */
  print("order ");
  number(order);
  print("\n");
  done();
}

#ifdef UART_IRQ
/* The USART asks for each character: its handler sends them. */
static const char text[] = "sent by interrupts\n";
static volatile uint32_t sent;

KEEP void uart_handler(void) {
  if (sent < sizeof text - 1)
    REG(USART + 0x28) = (uint8_t)text[sent++];
  else
    REG(USART) &= ~(1u << 7); /* CR1.TXEIE */
}

KEEP void uart_interrupts(void) {
  REG(0xE000E100 + UART_IRQ / 32 * 4) = 1u << UART_IRQ % 32;
  REG(USART) |= 1 << 7;
  while (sent < sizeof text - 1 || REG(USART) & (1 << 7))
    ;
  done();
}
#endif

/* The handler reads its argument from the frame of the caller and answers in r0 of it. */
KEEP uint32_t call(uint32_t x) {
  register uint32_t r0 __asm("r0") = x;
  __asm volatile("svc #5" : "+r"(r0) : : "memory");
  return r0;
}

KEEP void svc(void) {
  print("answer ");
  number(call(41));
  print("\n");
  done();
}

/* Two threads on stacks of their own, PendSV changes between them; each keeps a float where there
 * is an FPU, so that the frame with floating-point registers is needed. */
#define STACK 256
static uint32_t stacks[2][STACK] __attribute__((aligned(8)));
static uint32_t *saved[2];
static volatile int running;
static volatile uint32_t turns_of[2];

static void yield(void) {
  REG(0xE000ED04) = 1u << 28;
  __asm volatile("dsb\n isb");
}

KEEP void thread(uint32_t me) {
#ifdef HAS_FPU
  volatile float sum = 0;
#else
  volatile uint32_t sum = 0;
#endif
  for (uint32_t i = 0; i < 5; i++) {
    sum += (me + 1);
    yield();
    turns_of[me]++;
  }
  if (me == 1) {
    print("sums ");
    number((uint32_t)sum);
    print(" turns ");
    number(turns_of[0] * 10 + turns_of[1]);
    print("\n");
    done();
  }
  for (;;)
    yield();
}

static void prepare(uint32_t me) {
  uint32_t *sp = &stacks[me][STACK];
  *--sp = 1u << 24;
  *--sp = (uint32_t)thread | 1;
  *--sp = 0;
  for (int i = 0; i < 4; i++)
    *--sp = 0; /* r12, r3 to r1 */
  *--sp = me;  /* r0 */
  for (int i = 0; i < 8; i++)
    *--sp = 0; /* r4 to r11 */
  *--sp = 0xFFFFFFFD;
  saved[me] = sp;
}

KEEP uint32_t *next_thread(uint32_t *sp) {
  saved[running] = sp;
  running ^= 1;
  return saved[running];
}

KEEP void threads(void) {
  prepare(0);
  prepare(1);
  REG(0xE000ED20) = 0x00FF0000; /* PendSV is the least urgent */
  uint32_t *first = saved[0] + 9;
  __asm volatile("msr psp, %0\n movs r0, #2\n msr control, r0\n isb\n"
                 "pop {r0-r3}\n pop {r1, r2}\n pop {r3}\n pop {r1}\n bx r3"
                 :
                 : "r"(first)
                 : "r0", "r1", "r2", "r3", "memory");
}

void pendsv_handler(void);
#ifdef __ARM_ARCH_6M__
__asm(".syntax unified\n.thumb_func\n.global pendsv_handler\npendsv_handler:\n"
      "mrs r0, psp\n subs r0, #36\n mov r3, lr\n stmia r0!, {r3-r7}\n"
      "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n stmia r0!, {r4-r7}\n"
      "subs r0, #36\n bl next_thread\n"
      "ldmia r0!, {r3-r7}\n mov lr, r3\n push {r4-r7}\n ldmia r0!, {r4-r7}\n"
      "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {r4-r7}\n"
      "msr psp, r0\n bx lr\n");
#else
__asm(".syntax unified\n.thumb_func\n.global pendsv_handler\npendsv_handler:\n"
      "mrs r0, psp\n"
#ifdef HAS_FPU
      "tst lr, #16\n it eq\n vstmdbeq r0!, {s16-s31}\n"
#endif
      "mov r3, lr\n stmdb r0!, {r3-r11}\n bl next_thread\n ldmia r0!, {r3-r11}\n mov lr, r3\n"
#ifdef HAS_FPU
      "tst lr, #16\n it eq\n vldmiaeq r0!, {s16-s31}\n"
#endif
      "msr psp, r0\n bx lr\n");
#endif

/* Bits of a register that no model knows. */
KEEP void wait_forever_for_nothing(void) {
  while (!(REG(0x4000BEE0) & 4))
    ;
  done();
}

/* ---- What a chip traps ---- */

KEEP void load_of_nothing(void) {
  sink = REG(ABSENT);
}

KEEP void store_to_nothing(void) {
  REG(ABSENT) = 1;
}

KEEP void store_to_flash(void) {
  REG(FLASH_BASE + 0x8000) = 1;
}

#ifdef FLASH_CONTROL
KEEP void program_flash(void) {
  REG(FLASH_CONTROL) = FLASH_PROGRAM;
  REG(FLASH_BASE + 0x8000) = 0x1234;
  REG(FLASH_CONTROL) = 0;
  print("flash ");
  number(REG(FLASH_BASE + 0x8000) & 0x1234);
  print("\n");
  done();
}
#endif

KEEP void jump_to_nothing(void) {
  ((void (*)(void))(ABSENT | 1))();
}

KEEP void jump_without_thumb(void) {
  ((void (*)(void))((uint32_t)hello & ~1u))();
}

KEEP void undefined_instruction(void) {
  __asm volatile("udf #0");
}

KEEP void breakpoint(void) {
  __asm volatile("bkpt #1");
}

#ifndef __ARM_ARCH_6M__
KEEP uint64_t load_pair(const uint64_t *p) {
  uint32_t low, high;
  __asm volatile("ldrd %0, %1, [%2, #8]" : "=r"(low), "=r"(high) : "r"(p));
  return (uint64_t)high << 32 | low;
}
#endif

KEEP uint32_t load_several(const uint32_t *p) {
  uint32_t a, b;
  __asm volatile("ldmia %2!, {%0, %1}" : "=&l"(a), "=&l"(b), "+l"(p));
  return a + b;
}

KEEP uint32_t load_word(const uint32_t *p) {
  uint32_t word;
  __asm volatile("ldr %0, [%1]" : "=l"(word) : "l"(p));
  return word;
}

KEEP void unaligned_pair(void) {
#ifndef __ARM_ARCH_6M__
  sink = (uint32_t)load_pair((const uint64_t *)((uint8_t *)words + 2));
#endif
}

KEEP void unaligned_several(void) {
  sink = load_several((const uint32_t *)((uint8_t *)words + 1));
}

/* Every core but the smallest loads a word from anywhere; CCR.UNALIGN_TRP forbids it. */
KEEP void unaligned_word(void) {
  sink = load_word((const uint32_t *)((uint8_t *)words + 2));
  done();
}

KEEP void unaligned_word_forbidden(void) {
  REG(0xE000ED14) |= 8;
  __asm volatile("dsb\n isb");
  sink = load_word((const uint32_t *)((uint8_t *)words + 2));
}

#ifdef HAS_FPU
KEEP float multiply(float a) {
  return a * 2.5f;
}

KEEP void fpu_off(void) {
  REG(0xE000ED88) &= ~(0xFu << 20);
  __asm volatile("dsb\n isb");
  sink = (uint32_t)multiply((float)ticks);
}
#endif

/* A region of the MPU: number, base, the logarithm of its size, attributes as in RASR. */
static void region(uint32_t n, uint32_t base, uint32_t log2, uint32_t attributes) {
  REG(0xE000ED98) = n;
#ifdef MPU_V8
  REG(0xE000ED9C) = base | (attributes >> 28 & 1) | ((attributes >> 24 & 7) == 6 ? 4 : 0);
  REG(0xE000EDA0) = (base + (1u << log2) - 32) | 1;
#else
  REG(0xE000ED9C) = base;
  REG(0xE000EDA0) = attributes | (log2 - 1) << 1 | 1;
#endif
}

static void mpu_on(void) {
  REG(0xE000ED94) = 5; /* privileged code has the usual map outside of the regions */
  __asm volatile("dsb\n isb");
}

static uint32_t guarded[64] __attribute__((aligned(256)));

KEEP void store_to_guarded(void) {
  REG(guarded + 8) = 1;
}

/* Read-only and no code: 32 bytes (256 where regions are at least that large) within a page. */
KEEP void mpu_write(void) {
  region(1, (uint32_t)guarded, 8, 0x16000000);
  mpu_on();
  sink = guarded[8]; /* may be read */
  words[0] = 3;      /* nothing forbids it */
  store_to_guarded();
}

#ifndef MPU_V8
KEEP void mpu_read(void) {
  region(1, (uint32_t)guarded, 8, 0x10000000);
  mpu_on();
  sink = guarded[8];
}
#endif

#ifndef MPU_V8
/* Flash, or ITCM, answers at address zero until the MPU keeps everyone off. */
KEEP void null_pointer(void) {
  volatile uint32_t *volatile nothing = 0;
  sink = nothing[2];
  print("read zero\n");
  region(1, 0, 8, 0x10000000);
  mpu_on();
  sink = nothing[2];
}
#endif

KEEP void mpu_execute(void) {
  static const uint16_t code[] = {0x4770, 0x4770}; /* bx lr */
  guarded[0] = code[0] | (uint32_t)code[1] << 16;
  ((void (*)(void))((uint32_t)guarded | 1))();
  print("ran from RAM\n");
  region(1, (uint32_t)guarded, 8, 0x13000000);
  mpu_on();
  ((void (*)(void))((uint32_t)guarded | 1))();
}

KEEP uint32_t grow(uint32_t depth) {
  volatile uint32_t local[16];
  local[depth & 15] = depth;
  return depth ? grow(depth - 1) + local[depth & 15] : 0;
}

static uint32_t small_stack[256] __attribute__((aligned(256)));

/* A thread whose stack has a guard below it. */
KEEP void stack_overflow(void) {
#ifdef MPU_V8
  __asm volatile("msr psplim, %0" : : "r"(small_stack + 64));
#else
  region(1, (uint32_t)small_stack, 8, 0x16000000);
  mpu_on();
#endif
  __asm volatile("msr psp, %0\n movs r0, #2\n msr control, r0\n isb"
                 :
                 : "r"(small_stack + 256)
                 : "r0");
  sink = grow(100);
}

/* Exceptions save their frame on the stack in use, wherever that points. */
KEEP void stack_outside(void) {
  __asm volatile("msr psp, %0\n movs r0, #2\n msr control, r0\n isb\n svc #0"
                 :
                 : "r"(ABSENT)
                 : "r0");
}

KEEP void stack_in_guard(void) {
  region(1, (uint32_t)small_stack, 8, 0x16000000);
  mpu_on();
  __asm volatile("msr psp, %0\n movs r0, #2\n msr control, r0\n isb\n svc #0"
                 :
                 : "r"(small_stack + 66)
                 : "r0");
}

/* User mode: its own stack, no way to mask interrupts, calls that return to it. */
KEEP void user_mode(void) {
#ifndef __ARM_ARCH_6M__
  uint32_t answer, control, primask;
  __asm volatile("msr psp, %0\n movs r0, #3\n msr control, r0\n isb"
                 :
                 : "r"(small_stack + 250)
                 : "r0");
  answer = call(1);
  answer += call(10);
  __asm volatile("cpsid i\n mrs %0, control\n mrs %1, primask" : "=r"(control), "=r"(primask));
  REG(0xE000E200) = 1; /* served all the same */
  REG(0xE000E100) = 1;
  print("user ");
  number(answer * 1000 + order * 100 + (control & 3) * 10 + primask);
  print("\n");
#endif
  done();
}

#ifdef CLOCKED
KEEP void load_without_clock(void) {
  sink = REG(CLOCKED);
}

KEEP void load_with_clock(void) {
  REG(CLOCKED_ENABLE) |= CLOCKED_BIT;
  (void)REG(CLOCKED_ENABLE);
  REG(CLOCKED) = 77;
  /* the instructions after the load are under conditions: what the chip's model does when it first
   * sees this memory must not touch them */
  uint32_t a = 1, b = REG(CLOCKED + 4);
  __asm volatile("cmp %0, #1\n ite eq\n ldreq %1, [%2]\n movne %1, #5"
                 :
                 : "l"(a), "l"(b), "l"(CLOCKED)
                 : "cc");
  print("clocked ");
  number(REG(CLOCKED));
  print("\n");
  done();
}
#endif

KEEP void hang_here(void) {
  for (;;)
    __asm volatile("" : : : "memory");
}

/* Two registers in turn: neither is taken for a bit that no model knows. */
KEEP void wait_for_two(void) {
  while (!(REG(0x4000BEE0) & 4) && !(REG(0x4000BEE4) & 4))
    ;
}

KEEP void sleep_for_ever(void) {
  for (;;)
    __asm volatile("wfi");
}

KEEP void reset_itself(void) {
  REG(0xE000ED0C) = 0x05FA0004;
  for (;;)
    __asm volatile("dsb");
}

/* ---- The vector table ---- */

KEEP void systick_handler(void) {
  ticks++;
}

KEEP void first_interrupt(void) {
  order = order * 10 + 2;
}

KEEP void svc_in_c(uint32_t *frame) {
  const uint8_t immediate = ((const uint8_t *)frame[6])[-2];
  frame[0] += immediate - 4;
}

void svc_handler(void);
__asm(".syntax unified\n.thumb_func\n.global svc_handler\nsvc_handler:\n"
      "movs r0, #4\n mov r1, lr\n tst r0, r1\n beq 1f\n mrs r0, psp\n b 2f\n1: mrs r0, msp\n"
      "2: push {r0, lr}\n bl svc_in_c\n pop {r0, pc}\n");

KEEP void unexpected(void) {
  print("unexpected exception\n");
  for (;;)
    ;
}

__attribute__((section(".vectors"), used)) void (*const vectors[])(void) = {
    (void (*)(void))&stack_top,
    reset_handler,
    unexpected,
    unexpected,
    unexpected,
    unexpected,
    unexpected,
    0,
    0,
    0,
    0,
    svc_handler,
    unexpected,
    0,
    pendsv_handler,
    systick_handler,
    first_interrupt,
    first_interrupt,
#ifdef UART_IRQ
    [16 + UART_IRQ] = uart_handler,
#endif
};

int main(void) {
  start_clocks();
  SCENARIO();
  return 0;
}
