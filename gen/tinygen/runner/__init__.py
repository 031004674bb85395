# SPDX-License-Identifier: Apache-2.0
"""Build generated projects and run them: on the host, in QEMU, in Unicorn."""

from tinygen.runner.build import Built, build
from tinygen.runner.project import Project, read_project
from tinygen.runner.run import PLACES, LayerCount, Mismatch, Place, RunResult, run
from tinygen.runner.toolchain import Check, Toolchain, doctor, find_emulator, find_toolchain

__all__ = [
    "PLACES",
    "Built",
    "Check",
    "LayerCount",
    "Mismatch",
    "Place",
    "Project",
    "RunResult",
    "Toolchain",
    "build",
    "doctor",
    "find_emulator",
    "find_toolchain",
    "read_project",
    "run",
]
