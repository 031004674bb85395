# SPDX-License-Identifier: Apache-2.0
"""Two models in one program: prefixed names, shared kernels, no fault under the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from endtoend.test_examples import project

MAIN = """
#include "tinygen_model/activity_samples.h"
#include "tinygen_model/digits_samples.h"
#include <string.h>

int main(void) {
  int8_t a[ACTIVITY_OUTPUT_SIZE], d[DIGITS_OUTPUT_SIZE];
  for (int i = 0; i < 8; i++) {
    activity_run(&activity_arena, activity_sample_inputs[i], a);
    digits_run(&digits_arena, digits_sample_inputs[i], d);
    if (memcmp(a, activity_sample_outputs[i], sizeof a) != 0)
      return 1;
    if (memcmp(d, digits_sample_outputs[i], sizeof d) != 0)
      return 2;
  }
  return strcmp(activity_model_hash, digits_model_hash) == 0 ? 3 : 0;
}
"""
SANITIZE = "-fsanitize=address,undefined"


@pytest.mark.slow
def test_two_models_in_one_program(tmp_path: Path) -> None:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("no system C compiler with sanitizers")
    folders = [project(name, "host", tmp_path / name, 8) for name in ("digits", "activity")]
    (tmp_path / "main.c").write_text(MAIN)
    sources = {tmp_path / "main.c"}
    kernels: dict[Path, Path] = {}
    includes: list[str] = []
    for folder in folders:
        model, library = folder / "src" / "model", folder / "src" / "tinygen"
        sources |= set(model.glob("*.c"))
        kernels |= {f.relative_to(library): f for f in library.rglob("*.c")}
        includes += [f"-I{folder / 'include'}", f"-I{library / 'include'}", f"-I{library / 'src'}"]
    program = tmp_path / "program"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror"]
    flags = ["-O1", "-g", SANITIZE, "-fno-sanitize-recover=all", *warnings, *includes]
    files = sorted(map(str, sources | set(kernels.values())))
    done = subprocess.run([cc, *flags, "-o", program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
