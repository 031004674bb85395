# SPDX-License-Identifier: Apache-2.0
"""Each family's model starts a firmware of ours through the registers of its reference manual, and
serves interrupts, timers, threads and the counter of instructions."""

from __future__ import annotations

import pytest
from chip_families import FAMILIES
from chip_firmware import Run

from tinygen.boards.chip import chip_names

pytestmark = pytest.mark.emulated

CORES = ("stm32h7", "stm32l4", "stm32u5", "stm32g0")
"""One family of each core."""


def test_every_family_is_tested() -> None:
    assert sorted(FAMILIES) == chip_names()


@pytest.mark.parametrize("family", FAMILIES)
def test_clocks_start_and_the_usart_prints(family: str, run: Run) -> None:
    ran = run(family, "hello")
    assert ran.error == ""
    assert [s.total for s in ran.console.samples] == [100]
    assert ran.console.done is not None
    assert ran.result is not None and ran.result.note == ""  # no bit had to toggle


@pytest.mark.parametrize("family", FAMILIES)
def test_flash_is_programmed_where_its_controller_says_so(family: str, run: Run) -> None:
    ran = run(family, "program_flash")
    assert (ran.error, ran.lines) == ("", ["flash 4660"])


@pytest.mark.parametrize("family", [c for c in CORES if c != "stm32g0"])
def test_the_cycle_counter_counts_instructions(family: str, run: Run) -> None:
    ran = run(family, "cycles")
    assert (ran.error, ran.lines) == ("", ["turns 1000"])  # 500 turns of two instructions


@pytest.mark.parametrize("family", CORES)
def test_systick_wakes_the_core(family: str, run: Run) -> None:
    ran = run(family, "systick")
    assert (ran.error, ran.lines) == ("", ["ticks 10"])
    assert ran.result is not None
    assert ran.result.instructions < 10_000  # ten ticks of 10000: it slept


@pytest.mark.parametrize("family", CORES)
def test_an_interrupt_waits_behind_primask(family: str, run: Run) -> None:
    ran = run(family, "masks")
    assert (ran.error, ran.lines) == ("", ["order 123"])


@pytest.mark.parametrize("family", ("stm32h7", "stm32u5", "stm32g0"))
def test_a_usart_asks_for_characters(family: str, run: Run) -> None:
    ran = run(family, "uart_interrupts")
    assert (ran.error, ran.lines) == ("", ["sent by interrupts"])


@pytest.mark.parametrize("family", CORES)
def test_a_supervisor_call_finds_its_frame(family: str, run: Run) -> None:
    ran = run(family, "svc")
    assert (ran.error, ran.lines) == ("", ["answer 42"])


@pytest.mark.parametrize("family", CORES)
def test_threads_change_by_pendsv(family: str, run: Run) -> None:
    ran = run(family, "threads")
    assert (ran.error, ran.lines) == ("", ["sums 10 turns 55"])


@pytest.mark.parametrize("family", ("stm32l4", "stm32f4"))
def test_a_bit_that_nothing_knows_toggles_and_is_told(family: str, run: Run) -> None:
    ran = run(family, "wait_forever_for_nothing")
    assert ran.error == ""
    assert ran.result is not None
    assert "0x4000bee0" in ran.result.note
