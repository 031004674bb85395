# SPDX-License-Identifier: Apache-2.0
"""What a test needs of the machine."""

from __future__ import annotations

import shutil

import pytest

from tinygen.runner.toolchain import system_tools_allowed


def have_gcc() -> bool:
    return shutil.which("arm-none-eabi-gcc") is not None


def have_qemu() -> bool:
    return shutil.which("qemu-system-arm") is not None


needs_gcc_and_qemu = pytest.mark.skipif(
    not (system_tools_allowed() and have_gcc() and have_qemu()),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)
