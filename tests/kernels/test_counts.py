# SPDX-License-Identifier: Apache-2.0
"""No kernel gets over 1 % slower than benchmarks/counts.json: counts are deterministic."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench.py"


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m4"])
def test_counts_do_not_rise(core: str) -> None:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("no arm-none-eabi-gcc or no qemu-system-arm")
    version = subprocess.run([gcc, "-dumpversion"], capture_output=True, text=True).stdout
    if not version.startswith("12.2"):
        pytest.skip(f"counts are of GCC 12.2, this is {version.strip()}")
    done = subprocess.run([sys.executable, BENCH, "--core", core], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
