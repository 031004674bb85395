# SPDX-License-Identifier: Apache-2.0
"""The host's DMA: 1-D and 2-D copies, and destinations that are unusable until the wait."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[2] / "kernels"
DRIVER = """
#include <assert.h>
#include <string.h>
#include "tinygen/dma.h"

int main(void) {
  signed char far[60], near[24], back[60];
  for (int i = 0; i < 60; i++)
    far[i] = (signed char)(i + 1);
  tg_dma_t job;
  tg_dma_load(&job, near, far + 3, 24);
  for (int i = 0; i < 24; i++)
    assert(near[i] == (signed char)0xa5); /* not there yet */
  tg_dma_wait(&job);
  assert(!memcmp(near, far + 3, 24));
  tg_dma_load_2d(&job, near, far, 22, 5, 12); /* rows of 5, 12 apart, the last one shorter */
  assert(near[0] == (signed char)0xa5 && near[21] == (signed char)0xa5 && near[22] == far[25]);
  tg_dma_wait(&job);
  for (int i = 0; i < 22; i++)
    assert(near[i] == far[i / 5 * 12 + i % 5]);
  memset(back, 7, sizeof back);
  tg_dma_store_2d(&job, back, near, 22, 5, 12);
  assert(back[0] == (signed char)0xa5 && back[5] == 7);
  tg_dma_wait(&job);
  for (int i = 0; i < 60; i++)
    assert(back[i] == (i % 12 < (i < 48 ? 5 : 2) ? far[i] : 7));
  memset(back, 7, sizeof back);
  tg_dma_store(&job, back + 1, far, 24);
  tg_dma_wait(&job);
  assert(back[0] == 7 && !memcmp(back + 1, far, 24) && back[25] == 7);
  return 0;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")
def test_copies(tmp_path: Path) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    sources = [str(tmp_path / "driver.c"), str(KERNELS / "src/runtime/dma_host.c")]
    program = tmp_path / "driver"
    include = f"-I{KERNELS / 'include'}"
    subprocess.run(["cc", *flags, include, *sources, "-o", str(program)], check=True)
    subprocess.run([str(program)], check=True)
