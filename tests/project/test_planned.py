# SPDX-License-Identifier: Apache-2.0
"""Fused weights in a project: taken with samples that show no loss, else refused for a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinygen import reference
from tinygen.boards import Board, load_board
from tinygen.errors import TinygenError
from tinygen.fidelity import fusion
from tinygen.graph import Graph
from tinygen.operators import Attention
from tinygen.planner import Options, Plan, make_plan
from tinygen.project import Planned, load_graph, plan_model, planned

RADAR = Path(__file__).parents[2] / "example_models/paper_shapes/tinyradar"
BOARD = load_board("mps2_an386")
NAME = "block0.attention"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_graph(RADAR / "model.onnx")


@pytest.fixture(scope="module")
def fused(graph: Graph) -> Planned:
    return plan_model(graph, BOARD, Options(), RADAR / "samples.npz")


def attention_of(graph: Graph) -> Attention:
    return next(n.op for n in graph.nodes if isinstance(n.op, Attention))


def reason(made: Planned) -> str:
    """Why the form that was wanted was not taken."""
    assert attention_of(made.graph).fusion == "unfused"
    forms = {f.fusion: f for f in made.plan.fusion[NAME]}
    assert forms["unfused"].chosen
    return forms["fused"].why


def test_taken_where_it_wins(graph: Graph, fused: Planned) -> None:
    assert attention_of(fused.graph).fusion == "fused"
    assert "armv7em/attention_load.c" in fused.plan.sources
    (note,) = fused.plan.notes
    assert "16,384 parameters there instead of 32,768" in note and "accuracy" in note
    forms = {f.fusion: f for f in fused.plan.fusion[NAME]}
    assert forms["fused"].chosen and forms["fused"].error_lsb is not None
    assert forms["fused"].error_lsb <= (forms["unfused"].error_lsb or 0) + fusion.ADDED_LSB
    plain = plan_model(graph, BOARD, Options(fusion="unfused"), RADAR / "samples.npz").plan
    assert (fused.plan.cycles or 0) < (plain.cycles or 0)
    assert fused.plan.const_bytes < plain.const_bytes - 16_000
    assert fused.plan.arena_bytes <= plain.arena_bytes


def test_accuracy_stays_within_the_bound(graph: Graph, fused: Planned) -> None:
    data = np.load(RADAR / "samples.npz")

    def accuracy(g: Graph) -> float:
        found = [reference.run(g, reference.quantise(g, x)).argmax() for x in data["x"]]
        return 100 * float((np.array(found) == data["y"]).mean())

    assert accuracy(fused.graph) >= accuracy(graph) - fusion.LOST_POINTS


def test_without_samples(graph: Graph) -> None:
    assert reason(plan_model(graph, BOARD, Options(), None)) == (
        "no samples to choose scales on (--samples)"
    )
    with pytest.raises(TinygenError, match="--attention fused needs --samples"):
        plan_model(graph, BOARD, Options(fusion="fused"), None)


def test_labels_that_show_a_loss(graph: Graph, tmp_path: Path) -> None:
    """Labels that the unfused model gets right: every other answer is a loss."""
    x = np.load(RADAR / "samples.npz")["x"]
    y = [reference.run(graph, reference.quantise(graph, s)).argmax() for s in x]
    np.savez(tmp_path / "s.npz", x=x, y=np.array(y))
    found = reason(plan_model(graph, BOARD, Options(), tmp_path / "s.npz"))
    assert found.startswith("accuracy falls from 100.0 % to 9") and "64 samples" in found
    with pytest.raises(TinygenError, match=f"node {NAME} is refused fused weights, because acc"):
        plan_model(graph, BOARD, Options(fusion="fused"), tmp_path / "s.npz")


def test_a_layer_that_gets_too_inexact(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "ADDED_LSB", -0.4)
    found = reason(plan_model(graph, BOARD, Options(), RADAR / "samples.npz"))
    assert found.startswith("its output's mean error rises from 0.")


def test_a_softmax_that_is_a_table_of_its_own(graph: Graph) -> None:
    op = attention_of(graph)
    table = (op.exp_table[0] / (1 + 0.1 * np.arange(256)) ** 2).astype(np.uint16)
    own = replace(op, exp_table=table)
    nodes = tuple(replace(n, op=own) if n.op is op else n for n in graph.nodes)
    other = replace(graph, nodes=nodes)
    found = reason(plan_model(other, BOARD, Options(), RADAR / "samples.npz"))
    assert found == "its softmax is a table of its own"


def test_a_plan_that_does_not_fit_stays_unfused(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room_for_fused(g: Graph, board: Board, options: Options) -> Plan:
        if attention_of(g).fusion != "unfused":
            raise TinygenError("too large")
        return make_plan(g, board, options)

    monkeypatch.setattr(planned, "make_plan", no_room_for_fused)
    assert reason(plan_model(graph, BOARD, Options(), RADAR / "samples.npz")) == "no such plan fits"


def test_fewer_parameters_where_flash_is_short(graph: Graph) -> None:
    """The host has no cost model, but the limit asks for less."""
    host = load_board("host")
    plain = plan_model(graph, host, Options(), RADAR / "samples.npz")
    assert attention_of(plain.graph).fusion == "unfused"
    limit = Options(max_flash=plain.plan.const_bytes - 10_000)
    small = plan_model(graph, host, limit, RADAR / "samples.npz")
    assert attention_of(small.graph).fusion == "fused"
    assert next(f for f in small.plan.fusion[NAME] if f.chosen).why == "the fewest parameters"
