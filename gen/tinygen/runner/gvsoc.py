# SPDX-License-Identifier: Apache-2.0
"""Build a PULP SDK project with the SDK's make and run it in GVSoC.

`TINYGEN_PULP_SDK` names a shell script that sets what the SDK and GVSoC need (`RULES_DIR`, the
compiler, `gvsoc` on the path); without it, the environment is taken as it is.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.runner.build import Built, run_tool
from tinygen.runner.console import Console
from tinygen.runner.elf import read_elf
from tinygen.runner.process import run_process
from tinygen.runner.project import read_project
from tinygen.runner.toolchain import PULP_SDK, find_pulp_sdk


def build_gvsoc(project: Path, max_samples: int | None) -> Built:
    """The ELF file in the SDK's folder BUILD, made anew: make does not see changed options."""
    if find_pulp_sdk() is None:
        script = os.environ.get(PULP_SDK)
        wrong = f"{PULP_SDK}={script} is no file" if script else "no PULP SDK with GVSoC found"
        raise TinygenError(
            f"{wrong}: source the SDK's configuration, or set {PULP_SDK} to a script that does"
        )
    place = str(project.resolve())
    if any(c in place for c in " :%=~&'()*`"):
        raise TinygenError(
            f"{place!r}: make, with which the PULP SDK builds, takes no such path: move the "
            "project to one of letters, digits and underscores"
        )
    model = read_project(project).model
    samples = [] if max_samples is None else [f"SAMPLES={max_samples}"]
    run_tool(_make(project, "clean", "all", *samples), project, "building")
    path = next(project.glob(f"BUILD/*/*/{model}/{model}"), None)
    if path is None:
        raise TinygenError(f"{project} builds, but not to BUILD/*/*/{model}/{model}")
    elf = read_elf(path)
    flags = re.search(
        r"^APP_CFLAGS \+= (.*)$", (project / "Makefile").read_text(encoding="utf-8"), re.M
    )
    return Built(path, elf.flash_bytes, elf.ram_bytes, _compiler(), flags.group(1) if flags else "")


def run_gvsoc(
    built: Built, board: Board, console: Console, max_samples: int | None, timeout: float
) -> int:
    """Exit status of `make run`. The number of samples is built in."""
    project = built.elf.parents[4]
    return run_process(_make(project, "run"), console, timeout, f"{built.elf.name} in GVSoC")


def _make(project: Path, *arguments: str) -> list[str]:
    return _shell(shlex.join(["exec", "make", "-C", str(project.resolve()), *arguments]))


def _shell(command: str) -> list[str]:
    script = os.environ.get(PULP_SDK)
    before = f". {shlex.quote(script)} >&2 && " if script else ""
    return ["bash", "-c", before + command]


def _compiler() -> str:
    """First line of the version of the SDK's compiler."""
    command = '"$PULP_RISCV_GCC_TOOLCHAIN/bin/riscv32-unknown-elf-gcc" --version'
    done = subprocess.run(_shell(command), capture_output=True, encoding="utf-8", errors="replace")
    return done.stdout.splitlines()[0] if done.stdout else "the PULP SDK's compiler"
