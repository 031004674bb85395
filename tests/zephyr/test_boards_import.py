# SPDX-License-Identifier: Apache-2.0
"""A board imported from its devicetree has the memories that ours was given by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from zephyr_projects import board_of, build, make

from tinygen.boards import Board, read_board
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


def test_a_board_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="no Cortex-M"):
        import_board("native_sim", tmp_path / "board.yaml")


def test_an_unknown_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="nucleo_nowhere"):
        import_board("nucleo_nowhere", tmp_path / "board.yaml")
