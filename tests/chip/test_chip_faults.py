# SPDX-License-Identifier: Apache-2.0
"""What a chip traps ends the run with a sentence: what, the address, the function and the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chip_firmware import Run

pytestmark = pytest.mark.emulated

CORES = ("stm32h7", "stm32l4", "stm32u5", "stm32g0")
"""One family of each core."""
LARGE = ("stm32h7", "stm32l4", "stm32u5")

FAULTS = [  # scenario, families, what the sentence says, function of the instruction
    ("load_of_nothing", CORES, "a load of 4 bytes at 0x2f000000, where .* has no memory", ""),
    ("store_to_nothing", CORES, "a store of 4 bytes at 0x2f000000, where .* has no memory", ""),
    ("store_to_flash", CORES, "a store of 4 bytes at 0x08008000, in flash", ""),
    ("load_without_clock", ("stm32h7",), "0x30020000, in sram2, before its clock is on", ""),
    ("jump_without_thumb", CORES, "a branch to 0x[0-9a-f]+ without the Thumb bit", "hello"),
    ("undefined_instruction", CORES, "an undefined instruction", ""),
    ("breakpoint", CORES, "a breakpoint without a debugger", ""),
    (
        "unaligned_pair",
        LARGE,
        "a load of 8 bytes at 0x[0-9a-f]+, which is not aligned",
        "load_pair",
    ),
    ("unaligned_several", LARGE, "a load of 8 bytes at .* which is not aligned", "load_several"),
    ("unaligned_several", ("stm32g0",), "not aligned", "load_several"),
    ("unaligned_word", ("stm32g0",), "not aligned", "load_word"),
    (
        "unaligned_word_forbidden",
        LARGE,
        "a load of 4 bytes at .* which is not aligned",
        "load_word",
    ),
    ("fpu_off", LARGE, "a floating-point instruction while the FPU is off", ""),
    (
        "mpu_write",
        CORES,
        "a store of 4 bytes at .* region 1 of the MPU forbids",
        "store_to_guarded",
    ),
    ("mpu_read", ("stm32h7", "stm32l4", "stm32g0"), "a load of 4 bytes at .* region 1 of", ""),
    (
        "mpu_execute",
        CORES,
        "execution at 0x[0-9a-f]+, which region 1 of the MPU forbids",
        "guarded",
    ),
    (
        "stack_overflow",
        ("stm32h7", "stm32l4", "stm32g0"),
        "the stack has grown to .* guard",
        "grow",
    ),
    (
        "null_pointer",
        ("stm32h7", "stm32l4", "stm32g0"),
        "a load of 4 bytes at 0x00000008, which",
        "",
    ),
    ("stack_outside", CORES, "the stack has grown to 0x2effffe0, where there is no memory", ""),
    ("stack_in_guard", CORES, "the stack has grown to 0x[0-9a-f]+, into its guard", ""),
    ("stack_overflow", ("stm32u5",), "is below its limit: the stack is too small", "grow"),
]
CASES = [(s, f, what, where or s) for s, fs, what, where in FAULTS for f in fs]


@pytest.mark.parametrize("scenario, family, what, where", CASES)
def test_a_fault_is_named(scenario: str, family: str, what: str, where: str, run: Run) -> None:
    error = run(family, scenario).error
    assert re.search(what, error), error
    assert f"{scenario}.elf on the model of {family} stopped" in error
    if where != "guarded":  # an array has no function
        assert re.search(rf"in {where}\+0x[0-9a-f]+ \(0x[0-9a-f]{{8}}, firmware\.c:\d+\)", error), (
            error
        )
        line = int(re.findall(r"firmware\.c:(\d+)", error)[0])
        assert where in function_at(line)


def function_at(line: int) -> str:
    """The head of the function that a line of firmware.c lies in."""
    lines = (Path(__file__).parent / "firmware.c").read_text().splitlines()
    return next(text for text in reversed(lines[:line]) if re.match(r"KEEP\b", text))


@pytest.mark.parametrize("family", CORES)
def test_a_jump_to_nothing_names_its_caller(family: str, run: Run) -> None:
    error = run(family, "jump_to_nothing").error
    assert "execution at 0x2f000000, where there is no memory" in error
    assert "called from" in error


@pytest.mark.parametrize("family", LARGE)
def test_user_mode_has_its_stack_and_its_calls(family: str, run: Run) -> None:
    """Two calls, an interrupt that cpsid did not mask, CONTROL as it was."""
    ran = run(family, "user_mode")
    assert (ran.error, ran.lines) == ("", ["user 13230"])


def test_memory_answers_once_its_clock_is_on(run: Run) -> None:
    ran = run("stm32h7", "load_with_clock")
    assert (ran.error, ran.lines) == ("", ["clocked 77"])


@pytest.mark.parametrize("family", LARGE)
def test_a_load_that_the_core_takes_is_no_fault(family: str, run: Run) -> None:
    assert run(family, "unaligned_word").error == ""


@pytest.mark.parametrize("family", CORES)
def test_code_in_ram_runs_until_the_mpu_forbids_it(family: str, run: Run) -> None:
    assert run(family, "mpu_execute").lines == ["ran from RAM"]


@pytest.mark.parametrize("family", ("stm32h7", "stm32g0"))
def test_a_hang_names_its_function(family: str, run: Run) -> None:
    assert re.search(
        r"printed nothing for 3 s and hangs in hang_here\+", run(family, "hang_here").error
    )


def test_a_wait_for_two_registers_is_a_hang_that_names_its_function(run: Run) -> None:
    assert "hangs in wait_for_two+" in run("stm32l4", "wait_for_two").error


@pytest.mark.parametrize("family", CORES)
def test_a_sleep_that_nothing_ends(family: str, run: Run) -> None:
    error = run(family, "sleep_for_ever").error
    assert "sleeps and nothing can wake it, in sleep_for_ever+" in error


@pytest.mark.parametrize("family", ("stm32h7", "stm32g0"))
def test_a_reset_is_told(family: str, run: Run) -> None:
    assert "resets itself in reset_itself+" in run(family, "reset_itself").error


def test_every_scenario_of_the_firmware_is_run() -> None:
    """A scenario without a test proves nothing."""
    text = (Path(__file__).parent / "firmware.c").read_text()
    body = text[text.index("/* ---- What a chip traps") : text.index("/* ---- The vector table")]
    scenarios = set(re.findall(r"^KEEP void (\w+)\(void\)", body, re.MULTILINE))
    tests = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    assert {s for s in scenarios if f'"{s}"' not in tests} == set()
