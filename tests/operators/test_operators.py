# SPDX-License-Identifier: Apache-2.0
"""Operators as emitted and compiled give the reference's bits."""

from __future__ import annotations

from pathlib import Path

import kernel_harness as harness
import numpy as np
import pytest
from operator_program import Placed, judge, many, program

from machine import have_gcc, have_qemu
from tinygen.operators import OPERATORS
from tinygen.operators.draw import Draw
from tinygen.targets import Target, get_target

EACH = 24
"""Cases of each operator in one program."""
NOTHING = bytes(4)


def written(folder: Path, seed: int, target: Target) -> tuple[list[Placed], Path]:
    cases = many(target, seed, EACH)
    path = folder / f"cases_{seed}.c"
    path.write_text(program(cases))
    return cases, path


def test_views_run_nothing() -> None:
    draw = Draw(0)
    for maker in (o for o in OPERATORS if o.is_view):
        for _ in range(EACH):
            case = maker.random(draw)
            shapes = [x.shape for x in case.inputs]
            y, at = case.op.reference(case.inputs), case.op.offset(shapes)
            flat = case.inputs[0].reshape(-1)
            assert y.shape == case.op.shape(shapes)
            np.testing.assert_array_equal(y.reshape(-1), flat[at : at + y.size])


@pytest.mark.parametrize("seed", range(3))
def test_on_the_host_under_sanitizers(tmp_path: Path, seed: int) -> None:
    target = get_target("portable")
    cases, path = written(tmp_path, seed, target)
    program = harness.build_host(target, tmp_path, path)
    judge(cases, harness.on_host(program, NOTHING, 1 << 20))


@pytest.mark.emulated
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("name", ["portable", "armv7em"])
def test_on_an_emulated_core(tmp_path: Path, core: str, name: str) -> None:
    if not (have_gcc() and have_qemu()):
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm")
    if name == "armv7em" and core == "cortex-m3":
        pytest.skip("armv7em needs the DSP instructions")
    target = get_target(name)
    cases, path = written(tmp_path, 7, target)
    elf = harness.build_firmware(target, core, "gcc", tmp_path, path)
    judge(cases, harness.in_qemu(elf, core, NOTHING))


@pytest.mark.emulated
def test_on_the_smallest_core(tmp_path: Path) -> None:
    """Cortex-M0+: no unaligned access, no long multiplication."""
    if not (harness.have_zig() and harness.have_unicorn()):
        pytest.skip("needs ziglang and unicorn")
    target = get_target("portable")
    cases, path = written(tmp_path, 11, target)
    elf = harness.build_firmware(target, "cortex-m0plus", "zig", tmp_path, path)
    judge(cases, harness.in_unicorn(elf, "cortex-m0plus", NOTHING))
