# SPDX-License-Identifier: Apache-2.0
"""General operators as emitted and compiled give the reference's bits."""

from __future__ import annotations

from pathlib import Path

import kernel_harness as harness
import pytest
from operator_cases import MAKERS, Case, many
from operator_program import judge, program

from machine import have_gcc, have_qemu
from tinygen.operators import OPERATORS, General
from tinygen.targets import get_target

EACH = 40
"""Cases of each operator in one program."""
NOTHING = bytes(4)


def written(folder: Path, seed: int) -> tuple[list[Case], Path]:
    cases = many(seed, EACH)
    path = folder / f"cases_{seed}.c"
    path.write_text(program(cases))
    return cases, path


def test_every_operator_has_random_cases() -> None:
    assert {o for o in OPERATORS if issubclass(o, General)} == set(MAKERS)


@pytest.mark.parametrize("seed", range(3))
def test_on_the_host_under_sanitizers(tmp_path: Path, seed: int) -> None:
    cases, path = written(tmp_path, seed)
    program = harness.build_host(get_target("portable"), tmp_path, path)
    judge(cases, harness.on_host(program, NOTHING, 1 << 20))


@pytest.mark.emulated
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("name", ["portable", "armv7em"])
def test_on_an_emulated_core(tmp_path: Path, core: str, name: str) -> None:
    if not (have_gcc() and have_qemu()):
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm")
    if name == "armv7em" and core == "cortex-m3":
        pytest.skip("armv7em needs the DSP instructions")
    cases, path = written(tmp_path, 7)
    elf = harness.build_firmware(get_target(name), core, "gcc", tmp_path, path)
    judge(cases, harness.in_qemu(elf, core, NOTHING))


@pytest.mark.emulated
def test_on_the_smallest_core(tmp_path: Path) -> None:
    """Cortex-M0+: no unaligned access, no long multiplication."""
    if not (harness.have_zig() and harness.have_unicorn()):
        pytest.skip("needs ziglang and unicorn")
    cases, path = written(tmp_path, 11)
    target = get_target("portable")
    elf = harness.build_firmware(target, "cortex-m0plus", "zig", tmp_path, path)
    judge(cases, harness.in_unicorn(elf, "cortex-m0plus", NOTHING))
