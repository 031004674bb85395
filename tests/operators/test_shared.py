# SPDX-License-Identifier: Apache-2.0
"""Operators whose work the cores of a cluster share give the reference's bits, without races."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import kernel_harness as harness
import pytest
from shared_program import files, many, program

from tinygen.targets import get_target

EACH = 8
"""Cases of each operator in one program."""
FLAGS = ("-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")
@pytest.mark.parametrize(
    ("seed", "cores", "sanitizer"),
    [(0, 1, "address,undefined"), (1, 8, "address,undefined"), (2, 3, "thread"), (3, 8, "thread")],
)
def test_on_threads(tmp_path: Path, seed: int, cores: int, sanitizer: str) -> None:
    cases = many(get_target("xpulpv2"), seed, EACH, cores)
    path, built = tmp_path / "cases.c", tmp_path / "cases"
    path.write_text(program(cases, cores))
    sources = [str(harness.KERNELS / "src" / f) for f in files(cases)]
    sanitize = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    command = ["cc", *FLAGS, *sanitize, *harness.INCLUDES, *sources, str(path), "-lpthread"]
    harness.call([*command, "-o", str(built)])
    done = subprocess.run([str(built)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]
