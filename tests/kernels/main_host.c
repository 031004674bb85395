/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <stdio.h>

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  FILE *f = fopen(argv[1], "rb");
  if (!f || fseek(f, 0, SEEK_END))
    return 2;
  const size_t size = (size_t)ftell(f), out_size = (size_t)strtol(argv[3], NULL, 10);
  int32_t *in = malloc(size), *out = malloc(out_size);
  rewind(f);
  if (!in || !out || fread(in, 1, size, f) != size)
    return 2;
  fclose(f);
  const size_t written = run_cases(in, out, NULL);
  f = fopen(argv[2], "wb");
  if (!f || fwrite(out, 1, written, f) != written || fclose(f))
    return 2;
  free(in);
  free(out);
  return 0;
}
