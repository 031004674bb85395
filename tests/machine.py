# SPDX-License-Identifier: Apache-2.0
"""What a test needs of the machine."""

from __future__ import annotations

import shutil

import pytest

from tinygen.runner.toolchain import system_tools_allowed

needs_gcc_and_qemu = pytest.mark.skipif(
    not (
        system_tools_allowed()
        and shutil.which("arm-none-eabi-gcc")
        and shutil.which("qemu-system-arm")
    ),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)
