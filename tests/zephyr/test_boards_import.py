# SPDX-License-Identifier: Apache-2.0
"""A board imported from its devicetree has the memories that ours was given by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_zephyr_builds import inside, symbols
from zephyr_projects import board_of, build, make

from tinygen.boards import Board, Region, read_board
from tinygen.errors import TinygenError
from tinygen.runner import import_board

pytestmark = [pytest.mark.zephyr, pytest.mark.slow]


def facts(board: Board) -> set[tuple[str, int, int, str | None]]:
    return {(r.kind, r.base, r.size, r.clock) for r in board.memory}


@pytest.mark.parametrize(
    "name", ("nucleo_h743zi", "nucleo_l476rg", "nucleo_f746zg", "mps2/an386", "mps2/an385")
)
def test_import_agrees_with_the_shipped_description(name: str, tmp_path: Path) -> None:
    imported, path = import_board(name, tmp_path / "board.yaml")
    assert read_board(path) == imported
    shipped = board_of(name)
    assert facts(imported) == facts(shipped)
    assert imported.core.cpu == shipped.core.cpu
    assert imported.core.target == shipped.core.target
    assert imported.core.clock_hz == shipped.core.clock_hz
    assert imported.core.cflags == shipped.core.cflags


def test_a_board_that_we_do_not_ship_builds(tmp_path: Path) -> None:
    _, path = import_board("nucleo_f429zi", tmp_path / "f429.yaml")
    made = build(make("digits", read_board(path), tmp_path / "app"))
    assert made.elf.is_file()


def test_a_board_without_flash_builds(tmp_path: Path) -> None:
    """The STM32N6 boots to RAM: FLASH_SIZE is 0, and one memory has the image and the data."""
    imported, path = import_board("stm32n6570_dk", tmp_path / "n6.yaml")
    assert read_board(path) == imported
    assert imported.core.cpu == "cortex-m55" and imported.core.clock_hz == 800_000_000
    flash, sram, *others = imported.memory
    assert flash.kind == "flash" and flash.base == 0x34180400
    assert flash.base + flash.size == sram.base and flash.size + sram.size == 511 * 1024
    assert [(r.base, r.section) for r in others] == [(0x34000000, "AXISRAM1")]
    made = build(make("digits", read_board(path), tmp_path / "app"))
    found = symbols(made.elf)
    assert inside(found["digits_run"], flash)
    for use in made.plan.regions:
        region = next(r for r in imported.memory if r.name == use.name)
        place = found[f"digits_arena_{use.name}"]
        shared = Region(name="both", kind="ram", base=flash.base, size=511 * 1024)
        assert inside(place, shared if use.name == "sram" else region)


def test_a_board_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="no Cortex-M"):
        import_board("native_sim", tmp_path / "board.yaml")


def test_an_unknown_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="nucleo_nowhere"):
        import_board("nucleo_nowhere", tmp_path / "board.yaml")
