# SPDX-License-Identifier: Apache-2.0
"""Predicted instructions against exact counts, on shapes that no fit has seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from graphs import random_encoder
from machine import needs_gcc_and_qemu
from tinygen.boards import load_board
from tinygen.planner import cost, make_plan
from tinygen.targets.measured import every

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import choices
import fit_costs


@pytest.mark.emulated
@needs_gcc_and_qemu
@pytest.mark.parametrize(
    ("target", "board_name"),
    [("armv7em", "mps2_an500"), ("armv7em", "mps2_an386"), ("portable", "mps2_an385")],
)  # fmt: skip
def test_within_a_tenth(target: str, board_name: str) -> None:
    board = fit_costs.board_for(target, board_name)
    rng = np.random.default_rng(7)
    layers = fit_costs.measure(fit_costs.rows_network(rng, 7, 6), board, target, None, False)
    layers += fit_costs.measure(fit_costs.conv_network(rng, 2), board, target, None, False)
    compact = target == "armv7em"
    graph, chosen = fit_costs.attention_network(rng, 29, 8, compact)
    layers += fit_costs.measure(graph, board, target, chosen, False)
    general = fit_costs.measure(fit_costs.general_network(31), board, target, None, False)
    layers += [la for la in general if la.name.startswith("general")]
    model = cost.load_cost_model(target, board.core.cpu)
    assert model is not None
    wrong = [
        f"{la.op} {la.name}: {la.instructions:,}, {off:+.1%}"
        for la in layers
        if abs(off := fit_costs.off(model.instructions, la, la.instructions)) > fit_costs.bar(la.op)
    ]
    assert len({la.op for la in layers}) == 9 + len(fit_costs.GENERAL)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", every("costs"), ids=lambda p: p.parent.name)
def test_published_error_is_within_the_bar(path: Path) -> None:
    for cpu, fitted in json.loads(path.read_text()).items():
        assert set(fitted["error"]["instructions"]) >= {"linear", "attention", "conv", "add"}
        assert set(fitted["error"]["instructions"]) >= fit_costs.GENERAL
        for op, worst in fitted["error"]["instructions"].items():
            assert worst <= fit_costs.bar(op), (cpu, op, worst)


def test_every_count_of_a_plan_has_a_cost() -> None:
    """A loop that nobody fitted would cost nothing."""
    for name in ("mps2_an386", "mps2_an500", "mps2_an385"):
        board = load_board(name)
        plan = make_plan(random_encoder(tokens=9, e=18, p=2, h=3), board)
        model = cost.load_cost_model(plan.target, board.core.cpu)
        assert model is not None
        assert all((step.instructions or 0) > 0 and (step.cycles or 0) > 0 for step in plan.steps)
        assert plan.instructions == sum(model.step(s).instructions for s in plan.steps)


@pytest.mark.emulated
@needs_gcc_and_qemu
@pytest.mark.parametrize("board_name", ["mps2_an500", "mps2_an386"])
def test_the_choice_is_near_the_best(board_name: str) -> None:
    """A shape of the paper, some of its schedules; benchmarks/choices.py takes all of them."""
    found = choices.verdict((5, 32, 32, 8), board_name, some=8)
    assert found.alternatives >= 8
    assert found.worst <= choices.BAR, found
