# SPDX-License-Identifier: Apache-2.0
"""Fused weights are wanted where the cost model says so, for shapes alone."""

from __future__ import annotations

import pytest

from graphs import GraphBuilder
from tinygen.boards import load_board
from tinygen.graph import Graph
from tinygen.operators import FUSIONS, Fusion
from tinygen.planner import FusionForm, fusion_forms, smallest, wanted


def layers(*shapes: tuple[int, int, int, int]) -> Graph:
    s, e = shapes[0][:2]
    b = GraphBuilder((s, e))
    for i, (_, _, p, h) in enumerate(shapes):
        b.add(f"attention{i}", b.attention(e, p, h))
    return b.graph()


def forms(shape: tuple[int, int, int, int], board: str) -> dict[Fusion, FusionForm]:
    (every,) = fusion_forms(layers(shape), load_board(board)).values()
    assert [f.fusion for f in every] == list(FUSIONS)
    return {f.fusion: f for f in every}


@pytest.mark.parametrize("board", ["mps2_an500", "mps2_an386", "nucleo_h743zi"])
@pytest.mark.parametrize("shape", [(81, 32, 32, 8), (5, 32, 32, 8), (64, 64, 64, 4)], ids=str)
def test_equal_widths_want_both_with_half_the_parameters(
    shape: tuple[int, int, int, int], board: str
) -> None:
    found = forms(shape, board)
    assert [f.fusion for f in found.values() if f.chosen] == ["fused"]
    params = {name: f.params / found["unfused"].params for name, f in found.items()}
    assert params == {"unfused": 1, "fused-scores": 0.75, "fused-values": 0.75, "fused": 0.5}
    cycles = {name: f.cycles or 0 for name, f in found.items()}
    assert cycles["fused"] < cycles["fused-scores"] < cycles["unfused"]
    assert found["fused"].why.endswith("fewer cycles")


def test_ecg_with_its_narrow_heads_is_refused() -> None:
    found = forms((66, 16, 2, 8), "mps2_an500")
    assert found["unfused"].chosen
    assert all(found[f].why.endswith("more cycles") for f in FUSIONS[1:])


def test_each_layer_for_itself() -> None:
    graph = layers((9, 16, 16, 4), (9, 16, 2, 4))
    assert wanted(fusion_forms(graph, load_board("mps2_an386"))) == {"attention0": "fused"}


def test_without_a_cost_model_nothing_is_fused_unasked() -> None:
    graph, host = layers((9, 16, 16, 4)), load_board("host")
    assert wanted(fusion_forms(graph, host)) == {}
    assert wanted(fusion_forms(graph, host, "fused-scores")) == {"attention0": "fused-scores"}


def test_smallest_counts_parameters_only() -> None:
    graph = layers((9, 16, 16, 4), (9, 16, 2, 4))
    every = smallest(fusion_forms(graph, load_board("host")))
    assert wanted(every) == {"attention0": "fused"}


@pytest.mark.parametrize("shape", [(81, 32, 32, 8), (5, 32, 32, 8), (64, 64, 64, 8)], ids=str)
def test_a_cluster_wants_both_at_equal_widths(shape: tuple[int, int, int, int]) -> None:
    found = forms(shape, "pulp_open")
    assert [f.fusion for f in found.values() if f.chosen] == ["fused"]
    assert all(f.instructions is None for f in found.values())
    cycles = {name: f.cycles or 0 for name, f in found.items()}
    assert cycles["fused"] < cycles["fused-scores"] < cycles["unfused"]


def test_a_cluster_refuses_narrow_heads() -> None:
    found = forms((66, 16, 2, 8), "gap9")
    assert found["unfused"].chosen
    assert all(found[f].why.endswith("more cycles") for f in FUSIONS[1:])
