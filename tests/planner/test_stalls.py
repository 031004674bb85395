# SPDX-License-Identifier: Apache-2.0
"""Estimated cycles hold waits for flash and for slower memory; energy follows from them."""

from __future__ import annotations

import pytest

from graphs import GraphBuilder
from tinygen.boards import Board, load_board
from tinygen.graph import Graph
from tinygen.planner import Options, make_plan


@pytest.fixture(scope="module")
def layers() -> Graph:
    b = GraphBuilder((64, 64))
    b.add("embed", b.linear(64, 64))
    b.block(64, 16, 4, 128)
    return b.graph()


def changed(board: Board, kind: str, **changes: float) -> Board:
    memory = tuple(r.model_copy(update=changes) if r.kind == kind else r for r in board.memory)
    return board.model_copy(update={"memory": memory})


@pytest.mark.parametrize("name", ["nucleo_l476rg", "nucleo_h743zi", "nucleo_f746zg"])
def test_weights_wait_for_flash(layers: Graph, name: str) -> None:
    """The same schedule, with the flash of the board and with one that never waits."""
    board, whole = load_board(name), Options("depth-first", 16)
    plan = make_plan(layers, board, whole)
    quick = make_plan(layers, changed(board, "flash", wait=0), whole)
    waits = sum(s.wait_weights for s in plan.steps)
    assert waits > 0 and plan.instructions == quick.instructions
    assert plan.cycles == (quick.cycles or 0) + waits


def test_a_cache_reads_weights_once(layers: Graph) -> None:
    board = load_board("nucleo_h743zi")
    without = board.model_copy(update={"core": board.core.model_copy(update={"dcache": 0})})
    cached, streamed = (
        {s.name: s.wait_weights for s in make_plan(layers, b).steps} for b in (board, without)
    )
    assert streamed["embed"] == pytest.approx(16 * cached["embed"], abs=16)  # 64 rows by fours
    assert streamed["block0.ffn1"] == cached["block0.ffn1"]  # 8 KB and more are not kept


def test_slow_regions_cost_cycles(layers: Graph) -> None:
    board = load_board("nucleo_h743zi")
    slow = tuple(r for r in changed(board, "ram", speed=4.0).memory if r.name != "dtcm")
    plan = make_plan(layers, board)
    slowed = make_plan(layers, board.model_copy(update={"memory": slow}))
    assert sum(s.wait_memory for s in plan.steps) == 0  # all of it fits the DTCM
    waits = sum(s.wait_memory for s in slowed.steps)
    assert waits > 0 and slowed.cycles == (plan.cycles or 0) + waits


def test_energy(layers: Graph) -> None:
    board = load_board("nucleo_l476rg")
    plan = make_plan(layers, board)
    assert board.power and plan.energy_uj == pytest.approx(
        (plan.latency_ms or 0) * board.power.mw_per_mhz * board.core.clock_hz / 1e6
    )
    assert make_plan(layers, load_board("nucleo_h743zi")).energy_uj is None  # nobody states it
