# SPDX-License-Identifier: Apache-2.0
"""A vision transformer whose layers do not fit the board one by one, but whose plan does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from machine import needs_gcc_and_qemu
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.planner import Options, make_plan

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import vit


def test_a_plan_fits_where_layers_do_not() -> None:
    graph, board = vit.vision_transformer(), load_board(vit.BOARD)
    have = sum(r.size for r in board.ram)
    assert have == 320 << 10
    plan = make_plan(graph, board)
    image = 3 * 80 * 80
    assert vit.layer_by_layer(graph) > have > plan.arena_bytes + image
    assert plan.arena_bytes == plan.arena_lower_bound
    block, whole = vit.hidden_bytes(plan)
    assert 4 * block <= whole
    with pytest.raises(TinygenError, match="ffn"):  # the hidden activation whole
        make_plan(graph, board, Options(feed_forward_block=401))


@pytest.mark.emulated
@needs_gcc_and_qemu
def test_bits_within_its_memory_map() -> None:
    graph, board = vit.vision_transformer(blocks=1), load_board(vit.BOARD)
    plan = make_plan(graph, vit.emulated(board))
    assert any(s.op == "feed-forward" for s in plan.steps)
    assert [(r.name, r.used) for r in plan.regions] == [
        (r.name, r.used) for r in make_plan(graph, board).regions
    ]
    assert vit.measure(graph, plan).passed
