# SPDX-License-Identifier: Apache-2.0
"""Every example and model of the corpus: no packing is smaller, planned at once, always alike."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.planner import Plan, make_plan
from tinygen.planner.arena import check_packing
from tinygen.project import load_graph

ROOT = Path(__file__).parents[2]
MODELS = sorted(
    (*ROOT.glob("example_models/**/model.onnx"), *ROOT.glob("tests/corpus/models/*.onnx"))
)
SECONDS = 1.5


def places(plan: Plan) -> list[tuple[str, str, int]]:
    return [(q.buffer.name, q.region, q.offset) for q in plan.placements]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_arena_is_the_smallest(path: Path) -> None:
    samples = path.with_suffix(".npz")
    try:
        graph = load_graph(path, samples=samples if samples.is_file() else None)
    except TinygenError:
        pytest.skip("one of the corpus that are refused: tests/corpus/test_corpus.py")
    for name in ("mps2_an500", "nucleo_l476rg"):
        board = load_board(name)
        start = time.process_time()
        plan = make_plan(graph, board)
        assert time.process_time() - start < SECONDS
        check_packing(plan.placements, board.ram)
        for r in plan.regions:
            assert r.used == r.lower_bound or r.proven, (name, r)
        assert places(plan) == places(make_plan(graph, board))
