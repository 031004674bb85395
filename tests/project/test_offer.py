# SPDX-License-Identifier: Apache-2.0
"""Short arithmetic is offered where it is faster, and never taken unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygen.boards import load_board
from tinygen.planner import Options
from tinygen.project import load_graph, plan_model

ECG = Path(__file__).parents[2] / "example_models/paper_shapes/ecgformer"


def notes(board: str, *, short: bool = False, samples: bool = True) -> tuple[int, str]:
    graph = load_graph(ECG / "model.onnx")
    data = ECG / "samples.npz" if samples else None
    plan = plan_model(graph, load_board(board), Options(short=short), data).plan
    return plan.cycles or 0, " ".join(plan.notes)


def test_offered_with_what_it_costs() -> None:
    cycles, note = notes("gap9_evk")
    taken, _ = notes("gap9_evk", short=True)
    assert f"--short would take {taken:,} cycles" in note and taken < cycles
    assert "outputs move by" in note and "16 samples" in note


@pytest.mark.parametrize(
    ("board", "short", "samples"),
    [("gap9_evk", True, True), ("gap9_evk", False, False), ("nucleo_h743zi", False, True)],
)
def test_not_offered(board: str, short: bool, samples: bool) -> None:
    assert "--short" not in notes(board, short=short, samples=samples)[1]
