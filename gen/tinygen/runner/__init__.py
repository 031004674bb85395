# SPDX-License-Identifier: Apache-2.0
"""Build generated projects and run them: on the host, in QEMU, in Unicorn."""

from tinygen.runner.build import Built, build
from tinygen.runner.profile import Profile, profile
from tinygen.runner.project import Project, read_project
from tinygen.runner.run import PLACES, LayerCount, Mismatch, Place, RunResult, run
from tinygen.runner.toolchain import Check, Toolchain, doctor, find_emulator, find_toolchain
from tinygen.runner.zephyr_board import import_board

__all__ = [
    "PLACES",
    "Built",
    "Check",
    "LayerCount",
    "Mismatch",
    "Place",
    "Profile",
    "Project",
    "RunResult",
    "Toolchain",
    "build",
    "doctor",
    "find_emulator",
    "find_toolchain",
    "import_board",
    "profile",
    "read_project",
    "run",
]
