# SPDX-License-Identifier: Apache-2.0
"""Builds firmware.c for a family and a scenario, and runs it on the family's model."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from chip_families import FAMILIES
from chip_firmware import Build, Ran, Run

from tinygen.errors import TinygenError
from tinygen.runner.chip import run_chip
from tinygen.runner.console import Console

HERE = Path(__file__).parent
GCC = "arm-none-eabi-gcc"


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """(family, scenario) -> ELF file, built once."""
    if shutil.which(GCC) is None:
        pytest.skip(f"no {GCC}")
    folder = tmp_path_factory.mktemp("chip")

    def elf(family: str, scenario: str) -> Path:
        path = folder / f"{family}-{scenario}.elf"
        if path.exists():
            return path
        described = FAMILIES[family]
        board = described.load()
        include = folder / family
        include.mkdir(exist_ok=True)
        (include / "family.h").write_text(described.header)
        ram = next(r for r in board.ram if r.section is None)
        command = [
            *(GCC, f"-mcpu={board.core.cpu}", *board.core.cflags),
            *("-std=gnu11", "-O1", "-g", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra"),
            *("-Werror", "-Wno-array-bounds", "-Wno-infinite-recursion"),
            *(f"-I{include}", f"-DSCENARIO={scenario}", "-T", HERE / "firmware.ld"),
            f"-Wl,--defsym=FLASH_START={board.flash[0].base},--defsym=RAM_START={ram.base}",
            *("-Wl,--no-warn-rwx-segments", HERE / "firmware.c", "-lgcc", "-o", path),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return path

    return elf


@pytest.fixture
def run(build: Build) -> Run:
    """(family, scenario) -> what its run said."""

    def ran(family: str, scenario: str) -> Ran:
        console = Console()
        board = FAMILIES[family].load()
        try:
            result = run_chip(build(family, scenario), board, console, None, timeout=20)
        except TinygenError as e:
            return Ran(str(e), console.other, console, None)
        return Ran("", console.other, console, result)

    return ran
