/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include "platform.h"

static char line[256];
static uint32_t used;

static void flush(void) {
  line[used] = 0;
  used = 0;
  tg_write(line);
}

static void put_char(char c) {
  if (used == sizeof line - 1)
    flush();
  line[used++] = c;
}

void tg_put(const char *text) {
  while (*text)
    put_char(*text++);
}

void tg_put_number(int64_t value) {
  char digits[20];
  uint32_t count = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  if (value < 0)
    put_char('-');
  while (count)
    put_char(digits[--count]);
}

void tg_put_string(const char *text) {
  static const char hex[] = "0123456789abcdef";
  put_char('"');
  for (; *text; text++) {
    uint8_t c = (uint8_t)*text;
    if (c < 0x20) {
      tg_put("\\u00");
      put_char(hex[c >> 4]);
      put_char(hex[c & 15]);
      continue;
    }
    if (c == '"' || c == '\\')
      put_char('\\');
    put_char((char)c);
  }
  put_char('"');
}

void tg_end_line(void) {
  put_char('\n');
  flush();
}
