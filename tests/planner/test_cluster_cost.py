# SPDX-License-Identifier: Apache-2.0
"""The cluster's predictions against layers that were measured in GVSoC and not fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from graphs import GraphBuilder
from tinygen.boards import load_board
from tinygen.passes.short import shorten
from tinygen.planner import Options, cluster_cost, cost, make_plan
from tinygen.project import load_graph, plan_model, random_samples
from tinygen.reference import quantise
from tinygen.report import tables

HELD = [
    row
    for name in ("cluster_cycles", "cluster_cycles_plain")
    for row in json.loads((Path(__file__).parent / f"{name}.json").read_text())
]
MEAN = {"linear": 0.12, "conv": 0.13, "prepend": 0.18}
"""Largest mean error accepted; 0.10 for the others."""


@pytest.mark.parametrize("op", sorted({row["op"] for row in HELD}))
def test_held_back_layers(op: str) -> None:
    fit = cluster_cost.coefficients("xpulpv2")
    assert fit is not None
    rows = [r for r in HELD if r["op"] == op]
    off = [abs(cost.total(fit, r["features"]) / r["cycles"] - 1) for r in rows]
    assert np.mean(off) <= MEAN.get(op, 0.10)


RUNS = json.loads((Path(__file__).parent / "cluster_models.json").read_text())
EXAMPLES = Path(__file__).parents[2] / "example_models"


@pytest.mark.parametrize("run", RUNS)
def test_examples_that_ran(run: str) -> None:
    """benchmarks/cluster.py measured them; the fit has not seen them."""
    name, short = run.split()
    folder = EXAMPLES / name
    matching, samples, cycles = RUNS[run]
    graph = load_graph(folder / "model.onnx")
    options = Options(short=short == "True")
    plan = plan_model(graph, load_board("pulp_open"), options, folder / "samples.npz").plan
    assert matching == samples
    assert plan.cycles == pytest.approx(cycles, rel=0.10)


def test_short_arithmetic_is_predicted_to_be_faster() -> None:
    b = GraphBuilder((81, 32), 0)
    b.add("attention", b.attention(32, 32, 8))
    graph = b.graph()
    board = load_board("pulp_open")
    x = [quantise(graph, s) for s in random_samples(graph, 2)]
    plans = [make_plan(g, board) for g in (graph, shorten(graph, x).graph)]
    slow, fast = (plan.cycles for plan in plans)
    assert slow and fast and 400_000 < fast < 0.9 * slow < 900_000
    assert plans[0].energy_uj == pytest.approx(slow * 0.095 / 1e3)


def test_inspect_shows_cycles_time_and_energy() -> None:
    b = GraphBuilder((5, 8), 0)
    b.add("attention", b.attention(8, 4, 2))
    plan = make_plan(b.graph(), load_board("gap9"))
    console = Console(width=400)
    with console.capture() as capture:
        console.print(tables.plan_tables(plan))
    shown = capture.get()
    assert f"predicted {plan.cycles:,} cycles" in shown and "ms at 370 MHz" in shown
    assert "uJ (35 mW at 370 MHz" in shown
